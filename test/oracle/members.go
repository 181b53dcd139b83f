package oracle

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// slots are the set's pods at the wanted ordinals, nil where there is none, after
// orphans were adopted and strangers released.
func (s *State) slots() []*corev1.Pod {
	out := make([]*corev1.Pod, *s.Set.Spec.Replicas)
	for _, pod := range s.Pods {
		ordinal := s.ordinal(pod.Name)
		if ordinal < s.start() || ordinal >= s.end() || pod.Labels["app"] != setName {
			continue
		}
		owner := metav1.GetControllerOf(pod)
		if owner == nil && pod.DeletionTimestamp == nil || owner != nil && owner.UID == s.Set.UID {
			out[ordinal-s.start()] = pod
		}
	}
	return out
}

// available is upstream's measure, which does not look at the phase.
func (s *State) available(pod *corev1.Pod) bool {
	if pod == nil {
		return false
	}
	wait := time.Duration(s.Set.Spec.MinReadySeconds) * time.Second
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return wait == 0 || !c.LastTransitionTime.IsZero() && !c.LastTransitionTime.Add(wait).After(s.Now.Time)
		}
	}
	return false
}

func (s *State) unavailable(pod *corev1.Pod) bool {
	return !s.available(pod) || pod.DeletionTimestamp != nil
}

// rolls reports whether the set updates its pods by itself.
func (s *State) rolls() bool {
	return s.Set.DeletionTimestamp == nil && s.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType
}

// mayRoll is the partition and how many pods may be unavailable.
func (s *State) mayRoll() (partition, most int) {
	rolling := s.Set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil {
		return 0, 1
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(rolling.MaxUnavailable, int(*s.Set.Spec.Replicas), false)
	if err != nil {
		panic(err)
	}
	return int(*rolling.Partition), max(most, 1)
}

// dead reports whether a pod has ended.
func dead(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

func revisionOf(pod *corev1.Pod) string { return pod.Labels[appsv1.ControllerRevisionHashLabelKey] }

// claimsOf are the claims that exist of a wanted ordinal.
func (s *State) claimsOf(ordinal int) []*corev1.PersistentVolumeClaim {
	var out []*corev1.PersistentVolumeClaim
	for i := range s.Set.Spec.VolumeClaimTemplates {
		if claim := s.claim(plan.ClaimName(s.Set.Spec.VolumeClaimTemplates[i].Name, s.Set.Name, ordinal)); claim != nil {
			out = append(out, claim)
		}
	}
	return out
}

// losing are the wanted ordinals of which a claim is being deleted.
func (s *State) losing() []int {
	var out []int
	for ordinal := s.start(); ordinal < s.end(); ordinal++ {
		if slices.ContainsFunc(s.claimsOf(ordinal), func(c *corev1.PersistentVolumeClaim) bool { return c.DeletionTimestamp != nil }) {
			out = append(out, ordinal)
		}
	}
	return out
}

// sound reports whether a pod needs no repair.
func (s *State) sound(pod *corev1.Pod) bool {
	if pod == nil || pod.Labels[appsv1.StatefulSetPodNameLabel] != pod.Name {
		return pod == nil
	}
	for i := range s.Set.Spec.VolumeClaimTemplates {
		template := s.Set.Spec.VolumeClaimTemplates[i].Name
		mounts := func(v corev1.Volume) bool {
			return v.Name == template && v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == plan.ClaimName(template, s.Set.Name, s.ordinal(pod.Name))
		}
		if !slices.ContainsFunc(pod.Spec.Volumes, mounts) {
			return false
		}
	}
	return true
}
