package scheduler

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/volume"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/schedule"
)

// observe reads what the decision needs; the lock is held.
func (s *scheduler) observe(ctx context.Context, pod *corev1.Pod) (schedule.State, error) {
	state := schedule.State{Pod: pod, Weigh: s.weights.weigh}
	var err error
	if state.Nodes, err = s.nodes(ctx, pod.UID); err != nil {
		return state, err
	}
	if state.Claims, err = s.claims(ctx, pod); err != nil {
		return state, err
	}
	for _, c := range state.Claims {
		if c.Claim == nil || schedule.Bound(c.Claim) {
			continue
		}
		if state.Volumes, err = loop.List[*corev1.PersistentVolume](ctx, s.env.Cache, &corev1.PersistentVolumeList{}); err != nil {
			return state, err
		}
		break
	}
	return state, nil
}

// nodes are all nodes with their pods, assumed ones included, except the pod
// that is being decided.
func (s *scheduler) nodes(ctx context.Context, deciding types.UID) ([]schedule.Node, error) {
	list, err := loop.List[*corev1.Node](ctx, s.env.Cache, &corev1.NodeList{})
	if err != nil {
		return nil, err
	}
	assumed := map[string][]*corev1.Pod{}
	for uid, a := range s.assumed {
		if uid != deciding {
			assumed[a.pod.Spec.NodeName] = append(assumed[a.pod.Spec.NodeName], a.pod)
		}
	}
	nodes, pods := make([]schedule.Node, 0, len(list)), 0
	defer func() { s.weights.trim(pods) }()
	for _, node := range list {
		there, err := loop.List[*corev1.Pod](ctx, s.env.Cache, &corev1.PodList{}, client.MatchingFields{podindex.Node: node.Name})
		if err != nil {
			return nil, err
		}
		n := schedule.Node{Node: node, Pods: assumed[node.Name]}
		for _, p := range there {
			if schedule.Active(p) && p.UID != deciding {
				n.Pods = append(n.Pods, p)
			}
		}
		nodes = append(nodes, n)
		pods += len(n.Pods)
	}
	return nodes, nil
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
			if c.Volume, c.Class, err = s.behind(ctx, claim); err != nil {
				return nil, err
			}
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// behind is the claim's volume and class, as far as they exist.
func (s *scheduler) behind(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, *storagev1.StorageClass, error) {
	var (
		pv    *corev1.PersistentVolume
		class *storagev1.StorageClass
	)
	if name := claim.Spec.VolumeName; name != "" {
		got := &corev1.PersistentVolume{}
		found, err := s.find(ctx, types.NamespacedName{Name: name}, got)
		if err != nil {
			return nil, nil, err
		}
		if found {
			pv = got
		}
	}
	if name := volume.GetPersistentVolumeClaimClass(claim); name != "" {
		got := &storagev1.StorageClass{}
		found, err := s.find(ctx, types.NamespacedName{Name: name}, got)
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
	err := s.env.Cache.Get(ctx, key, obj)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
