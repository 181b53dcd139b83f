package oracle

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
)

// String tells a state in a few lines.
func (s *State) String() string {
	var b strings.Builder
	spec, status := &s.Set.Spec, &s.Set.Status
	fmt.Fprintf(&b, "set: %d replicas from %d, %s, %s", *spec.Replicas, s.start(), spec.PodManagementPolicy, spec.UpdateStrategy.Type)
	if rolling := spec.UpdateStrategy.RollingUpdate; rolling != nil {
		fmt.Fprintf(&b, " {partition %d, maxUnavailable %s}", *rolling.Partition, rolling.MaxUnavailable)
	}
	fmt.Fprintf(&b, ", minReadySeconds %d, history %d, claims deleted when deleted: %s, when scaled: %s%s\n", spec.MinReadySeconds, *spec.RevisionHistoryLimit,
		spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, going(s.Set.DeletionTimestamp))
	fmt.Fprintf(&b, "     template %s, generation %d; status: observed %d, current %s, update %s, currentReplicas %d\n", spec.Template.Spec.Containers[0].Image,
		s.Set.Generation, status.ObservedGeneration, status.CurrentRevision, status.UpdateRevision, status.CurrentReplicas)
	for _, rev := range s.Revisions {
		image := "?"
		if t, err := revision.Template(rev); err == nil && len(t.Spec.Containers) > 0 {
			image = t.Spec.Containers[0].Image
		}
		fmt.Fprintf(&b, "revision %d %s: %s, app=%s%s\n", rev.Revision, rev.Name, image, rev.Labels["app"], owners(rev.OwnerReferences))
	}
	for _, pod := range s.Pods {
		fmt.Fprintf(&b, "pod %s: %s %s, %v%s", pod.Name, pod.Status.Phase, readiness(pod, s.Now), pod.Labels, going(pod.DeletionTimestamp))
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				fmt.Fprintf(&b, " %s=%s", v.Name, v.PersistentVolumeClaim.ClaimName)
			}
		}
		fmt.Fprintf(&b, "%s\n", owners(pod.OwnerReferences))
	}
	for _, claim := range s.Claims {
		fmt.Fprintf(&b, "claim %s%s%s\n", claim.Name, going(claim.DeletionTimestamp), owners(claim.OwnerReferences))
	}
	for _, write := range s.Refused {
		fmt.Fprintf(&b, "refused: %s\n", write)
	}
	return b.String()
}

func going(at *metav1.Time) string {
	if at == nil {
		return ""
	}
	return ", terminating"
}

func readiness(pod *corev1.Pod, now metav1.Time) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return fmt.Sprintf("ready %s for %s", c.Status, now.Sub(c.LastTransitionTime.Time))
		}
	}
	return "ready unknown"
}

func owners(refs []metav1.OwnerReference) string {
	out := ""
	for _, ref := range refs {
		out += fmt.Sprintf(" <- %s %s (%s)", ref.Kind, ref.Name, ref.UID)
		if !ptr.Deref(ref.Controller, false) {
			out += " not as controller"
		}
	}
	return out
}
