package statefulset

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// owner is who the retention policy wants to own the claim.
func (c Claim) owner(s State, pod Pod) Owner {
	if c.Foreign {
		return Nobody
	}
	return s.Retention.owner(!s.inRange(pod.Ordinal))
}

func (r Retention) owner(surplus bool) Owner {
	switch {
	case r.WhenScaled && surplus:
		return ByPod
	case r.WhenDeleted:
		return BySet
	}
	return Nobody
}

// owned reports whether the claim's owners need no change. A claim that still
// names an older set or pod is about to be collected and is left alone.
func (c Claim) owned(s State, pod Pod) bool {
	if c.SetRef == Stale || c.PodRef == Stale {
		return true
	}
	want := c.owner(s, pod)
	return settled(c.SetRef, want == BySet) && settled(c.PodRef, want == ByPod)
}

func settled(ref Ref, wanted bool) bool {
	if wanted {
		return ref == Held
	}
	return ref == NoRef
}

// Claims returns the claims of an ordinal.
func (s State) Claims(ordinal int) []Claim {
	pod := s.at(ordinal)
	return pod.Claims
}

// claimFacts reads a claim's owners. pod is nil when the pod does not exist.
func claimFacts(claim *corev1.PersistentVolumeClaim, set metav1.Object, podName string, pod metav1.Object, retention Retention) Claim {
	facts := Claim{Name: claim.Name, Deleting: claim.DeletionTimestamp != nil}
	for _, ref := range claim.OwnerReferences {
		switch {
		case isSet(ref, set.GetName()):
			facts.SetRef = refState(ref, set)
		case isPod(ref, podName):
			facts.PodRef = refState(ref, pod)
		case ptr.Deref(ref.Controller, false):
			facts.Foreign = retention.WhenScaled || retention.WhenDeleted
		}
	}
	return facts
}

func isSet(ref metav1.OwnerReference, name string) bool {
	return ref.APIVersion == "apps/v1" && ref.Kind == "StatefulSet" && ref.Name == name
}

func isPod(ref metav1.OwnerReference, name string) bool {
	return ref.APIVersion == "v1" && ref.Kind == "Pod" && ref.Name == name
}

func refState(ref metav1.OwnerReference, owner metav1.Object) Ref {
	switch {
	case owner == nil || owner.GetUID() != ref.UID:
		return Stale
	case ptr.Deref(ref.Controller, false):
		return Held
	}
	return Plain
}

// OwnersOf returns the claim's owner references with ours as wanted: others
// keep their place, ours comes last.
func OwnersOf(claim *corev1.PersistentVolumeClaim, set metav1.Object, podName string, pod metav1.Object, want Owner) []metav1.OwnerReference {
	var refs []metav1.OwnerReference
	for _, ref := range claim.OwnerReferences {
		if !isSet(ref, set.GetName()) && !isPod(ref, podName) {
			refs = append(refs, ref)
		}
	}
	switch {
	case want == BySet:
		refs = append(refs, SetRef(set))
	case want == ByPod && pod != nil:
		refs = append(refs, controllerRef("v1", "Pod", pod))
	}
	return refs
}

// SetRef is the owner reference by which a set controls its pods, revisions and claims.
func SetRef(set metav1.Object) metav1.OwnerReference {
	return controllerRef("apps/v1", "StatefulSet", set)
}

func controllerRef(version, kind string, owner metav1.Object) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: version, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}
