// Package podindex names the cache indexes over pods that several loops share:
// by node, by claim, the pods that have no node yet, and those that have ended.
package podindex

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/ephemeral"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
)

// Field names for client.MatchingFields.
const (
	Node    = "spec.nodeName"
	Claim   = "spec.volumes.persistentVolumeClaim.claimName"
	Waiting = "spec.nodeName.unset"
	Ended   = "status.phase.ended"
)

// ByNode finds the pods that are bound to a node.
func ByNode() loop.Index {
	return loop.Index{Kind: &corev1.Pod{}, Field: Node, Keys: func(o client.Object) []string {
		if name := o.(*corev1.Pod).Spec.NodeName; name != "" {
			return []string{name}
		}
		return nil
	}}
}

// ByClaim finds the pods of a namespace that use a claim.
func ByClaim() loop.Index {
	return loop.Index{Kind: &corev1.Pod{}, Field: Claim, Keys: func(o client.Object) []string {
		var names []string
		pod := o.(*corev1.Pod)
		for i := range pod.Spec.Volumes {
			if name, _ := ClaimName(pod, &pod.Spec.Volumes[i]); name != "" {
				names = append(names, name)
			}
		}
		return names
	}}
}

// Unscheduled finds the pods that have no node; list it with the value "true".
func Unscheduled() loop.Index {
	return loop.Index{Kind: &corev1.Pod{}, Field: Waiting, Keys: func(o client.Object) []string {
		pod := o.(*corev1.Pod)
		if pod.Spec.NodeName == "" && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			return []string{"true"}
		}
		return nil
	}}
}

// ByEnd finds the pods that have ended; list it with the value "true".
func ByEnd() loop.Index {
	return loop.Index{Kind: &corev1.Pod{}, Field: Ended, Keys: func(o client.Object) []string {
		if phase := o.(*corev1.Pod).Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			return []string{"true"}
		}
		return nil
	}}
}

// ClaimName is the claim behind a pod's volume, "" when there is none.
func ClaimName(pod *corev1.Pod, v *corev1.Volume) (name string, isEphemeral bool) {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName, false
	case v.Ephemeral != nil:
		return ephemeral.VolumeClaimName(pod, v), true
	}
	return "", false
}
