package scheduler

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/volume"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/controller/volumeindex"
	"berth.dev/berth/internal/plan/schedule"
)

// observe reads what the decision needs beside the picture.
func (s *scheduler) observe(ctx context.Context, pod *corev1.Pod) (schedule.Ask, error) {
	ask := schedule.Ask{Pod: pod, Profile: s.profiles[s.profileOf(pod)]}
	var err error
	if ask.Claims, err = s.claims(ctx, pod); err != nil {
		return ask, err
	}
	if len(ask.Claims) > 0 {
		ask.Storage = &storage{ctx: ctx, read: s.env.Cache}
	}
	var unbound []*corev1.PersistentVolumeClaim
	for _, c := range ask.Claims {
		if c.Claim != nil && !schedule.Bound(c.Claim) {
			unbound = append(unbound, c.Claim)
		}
	}
	if len(unbound) > 0 {
		if ask.Volumes, err = volumeindex.Offered(ctx, s.env.Cache, unbound...); err != nil {
			return ask, err
		}
	}
	if ask.Addresses, err = s.addresses(ctx, pod); err != nil {
		return ask, err
	}
	if len(pod.Spec.TopologySpreadConstraints) == 0 {
		if ask.Kin, err = s.kin(ctx, pod); err != nil {
			return ask, err
		}
	}
	ask.Budgets, err = loop.List[*policyv1.PodDisruptionBudget](ctx, s.env.Cache, &policyv1.PodDisruptionBudgetList{})
	return ask, err
}

// kin selects the pods of the services and the controller that a pod belongs to.
func (s *scheduler) kin(ctx context.Context, pod *corev1.Pod) (labels.Selector, error) {
	services, err := loop.List[*corev1.Service](ctx, s.env.Cache, &corev1.ServiceList{}, client.InNamespace(pod.Namespace))
	if err != nil {
		return nil, err
	}
	set := labels.Set{}
	for _, service := range services {
		if len(service.Spec.Selector) > 0 && labels.SelectorFromValidatedSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			set = labels.Merge(set, service.Spec.Selector)
		}
	}
	var own *metav1.LabelSelector
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		key := types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}
		switch owner.APIVersion + " " + owner.Kind {
		case "v1 ReplicationController":
			rc := &corev1.ReplicationController{}
			if _, err = s.find(ctx, key, rc); err == nil {
				set = labels.Merge(set, rc.Spec.Selector)
			}
		case "apps/v1 ReplicaSet":
			rs := &appsv1.ReplicaSet{}
			_, err = s.find(ctx, key, rs)
			own = rs.Spec.Selector
		case "apps/v1 StatefulSet":
			sts := &appsv1.StatefulSet{}
			_, err = s.find(ctx, key, sts)
			own = sts.Spec.Selector
		}
		if err != nil {
			return nil, err
		}
	}
	selector := set.AsSelector()
	if own != nil {
		if parsed, err := metav1.LabelSelectorAsSelector(own); err == nil {
			if requirements, selectable := parsed.Requirements(); selectable {
				selector = selector.Add(requirements...)
			}
		}
	}
	return selector, nil
}

func (s *scheduler) claims(ctx context.Context, pod *corev1.Pod) ([]schedule.Claim, error) {
	var claims []schedule.Claim
	for i := range pod.Spec.Volumes {
		name, isEphemeral := podindex.ClaimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		c := schedule.Claim{Name: name, Ephemeral: isEphemeral}
		claim := &corev1.PersistentVolumeClaim{}
		found, err := s.findClaim(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: name}, claim)
		if err != nil {
			return nil, err
		}
		if found {
			c.Claim = claim
			if c.Volume, c.Class, err = behind(ctx, s.env.Cache, claim); err != nil {
				return nil, err
			}
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// behind is the claim's volume and class, as far as they exist.
func behind(ctx context.Context, read client.Reader, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, *storagev1.StorageClass, error) {
	var (
		pv    *corev1.PersistentVolume
		class *storagev1.StorageClass
	)
	if name := claim.Spec.VolumeName; name != "" {
		got := &corev1.PersistentVolume{}
		found, err := find(ctx, read, types.NamespacedName{Name: name}, got)
		if err != nil {
			return nil, nil, err
		}
		if found {
			pv = got
		}
	}
	if name := volume.GetPersistentVolumeClaimClass(claim); name != "" {
		got := &storagev1.StorageClass{}
		found, err := find(ctx, read, types.NamespacedName{Name: name}, got)
		if err != nil {
			return nil, nil, err
		}
		if found {
			class = got
		}
	}
	return pv, class, nil
}

// findClaim asks the API server before it says that there is no claim: one
// made just before its pod may come later in the cache.
func (s *scheduler) findClaim(ctx context.Context, key types.NamespacedName, claim *corev1.PersistentVolumeClaim) (bool, error) {
	found, err := s.find(ctx, key, claim)
	if found || err != nil {
		return found, err
	}
	err = s.env.Live.Get(ctx, key, claim)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (s *scheduler) find(ctx context.Context, key types.NamespacedName, obj client.Object) (bool, error) {
	return find(ctx, s.env.Cache, key, obj)
}

func find(ctx context.Context, read client.Reader, key types.NamespacedName, obj client.Object) (bool, error) {
	err := read.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
