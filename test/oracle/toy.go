package oracle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// React is what the world does between the nth sync and the next: time passes,
// nodes start, break and stop pods, collectors take what is due, and users change
// their minds. It changes s.
func React(s *State, seed, n uint64) {
	d := newDice(seed, n)
	s.Now = metav1.NewTime(s.Now.Add(pick(d, 0, time.Second, 4*time.Second, 9*time.Second, 10*time.Second, 30*time.Second)))
	s.baptize(n)
	if d.chance(0.5) {
		s.Refused = nil
	}
	s.Pods = slices.DeleteFunc(s.Pods, func(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil && d.chance(0.7) })
	calm := d.chance(0.6)
	for _, pod := range s.Pods {
		s.live(d, pod, calm)
	}
	s.collect(d)
	if d.chance(0.25) {
		s.edit(d)
	}
}

// baptize gives what was made its own UID, so that a later object of the same
// name is another one.
func (s *State) baptize(n uint64) {
	for _, obj := range s.objects() {
		if uid, made := strings.CutPrefix(string(obj.GetUID()), "new-"); made {
			obj.SetUID(types.UID(fmt.Sprintf("%s-%d", uid, n)))
		}
	}
}

// live is what a node does with a pod.
func (s *State) live(d dice, pod *corev1.Pod, calm bool) {
	status := &pod.Status
	ready := func(value corev1.ConditionStatus) {
		status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: value, LastTransitionTime: s.Now}}
	}
	isReady := len(status.Conditions) > 0 && status.Conditions[0].Status == corev1.ConditionTrue
	switch {
	case dead(pod):
	case !calm && d.chance(0.06):
		status.Phase = pick(d, corev1.PodFailed, corev1.PodSucceeded)
		ready(corev1.ConditionFalse)
	case status.Phase == "":
		status.Phase = corev1.PodPending
	case status.Phase != corev1.PodRunning && d.chance(0.8):
		status.Phase = corev1.PodRunning
		ready(corev1.ConditionFalse)
	case status.Phase == corev1.PodRunning && !isReady && d.chance(0.8):
		ready(corev1.ConditionTrue)
	case isReady && !calm && d.chance(0.1):
		ready(corev1.ConditionFalse)
	}
}

// collect is what the garbage collector and the protection of claims do.
func (s *State) collect(d dice) {
	alive := map[types.UID]bool{s.Set.UID: true, "database-1": true}
	for _, pod := range s.Pods {
		alive[pod.UID] = true
	}
	s.Claims = slices.DeleteFunc(s.Claims, func(claim *corev1.PersistentVolumeClaim) bool {
		owned := func(ref metav1.OwnerReference) bool { return alive[ref.UID] }
		orphaned := len(claim.OwnerReferences) > 0 && !slices.ContainsFunc(claim.OwnerReferences, owned)
		switch {
		case claim.DeletionTimestamp != nil:
			return d.chance(0.5)
		case orphaned && d.chance(0.6) || d.chance(0.01):
			claim.DeletionTimestamp, claim.DeletionGracePeriodSeconds = &s.Now, ptr.To(int64(0))
			claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
		}
		return false
	})
}

// edit is what a user does to the set.
func (s *State) edit(d dice) {
	spec := &s.Set.Spec
	before := spec.DeepCopy()
	switch d.IntN(8) {
	case 0, 1, 2:
		spec.Template = template(1 + d.IntN(variants))
	case 3, 4:
		spec.Replicas = ptr.To(int32(d.IntN(7)))
	case 5:
		spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: int32(d.IntN(4))}
	case 6:
		if spec.UpdateStrategy.RollingUpdate != nil {
			spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(d.IntN(5)))
		}
	case 7:
		policy := spec.PersistentVolumeClaimRetentionPolicy
		policy.WhenScaled, policy.WhenDeleted = policy.WhenDeleted, policy.WhenScaled
	}
	if !equality.Semantic.DeepEqual(before, spec) {
		s.Set.Generation++
	}
	if d.chance(0.05) && len(s.Pods) > 0 { // or to a pod
		pod := pick(d, s.Pods...)
		pod.Labels[appsv1.StatefulSetPodNameLabel] = plan.PodName(s.Set.Name, 99)
	}
}
