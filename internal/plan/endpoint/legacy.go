package endpoint

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
)

// Who wrote an Endpoints object.
const (
	LegacyManagedBy  = "endpoints.kubernetes.io/managed-by"
	LegacyController = "endpoint-controller"
)

// Endpoints is what the Service's Endpoints object is to be, given the one that
// there is (nil for none); nil says that it is right. since is when the change
// that it shows began, the zero time when that is not known.
func Endpoints(s State, have *corev1.Endpoints, since time.Time) *corev1.Endpoints {
	subsets, cut := truncated(s.subsets())
	labels := legacyLabels(s.Service)
	if have != nil && ignoringVersions.DeepEqual(have.Subsets, subsets) && maps.Equal(have.Labels, labels) && cut == (have.Annotations[corev1.EndpointsOverCapacity] != "") {
		return nil
	}
	next := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: s.Service.Namespace, Name: s.Service.Name}}
	if have != nil {
		next = have.DeepCopy()
	}
	next.Subsets, next.Labels = subsets, labels
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	set := func(key, value string) {
		if next.Annotations[key] = value; value == "" {
			delete(next.Annotations, key)
		}
	}
	set(corev1.EndpointsLastChangeTriggerTime, "")
	if !since.IsZero() {
		set(corev1.EndpointsLastChangeTriggerTime, since.UTC().Format(time.RFC3339Nano))
	}
	set(corev1.EndpointsOverCapacity, "")
	if cut {
		set(corev1.EndpointsOverCapacity, "truncated")
	}
	return next
}

// ignoringVersions compares without the versions of pods that others note.
var ignoringVersions = conversion.EqualitiesOrDie(func(a, b corev1.ObjectReference) bool {
	a.ResourceVersion, b.ResourceVersion = "", ""
	return a == b
})

// legacyLabels are the Service's own, and whether it is headless.
func legacyLabels(service *corev1.Service) map[string]string {
	out := maps.Clone(service.Labels)
	if out == nil {
		out = map[string]string{}
	}
	delete(out, corev1.IsHeadlessService)
	if service.Spec.ClusterIP == corev1.ClusterIPNone || service.Spec.ClusterIP == "" {
		out[corev1.IsHeadlessService] = ""
	}
	out[LegacyManagedBy] = LegacyController
	return out
}

// Triggers are when what a Service's endpoints follow from changed last.
type Triggers struct {
	Service time.Time
	Pods    map[string]time.Time
}

// TriggersOf reads them from the Service and its pods.
func TriggersOf(s State) Triggers {
	t := Triggers{Service: s.Service.CreationTimestamp.Time, Pods: map[string]time.Time{}}
	for _, pod := range s.Pods {
		for i := range pod.Status.Conditions {
			if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady && !c.LastTransitionTime.IsZero() {
				t.Pods[pod.Name] = c.LastTransitionTime.Time
			}
		}
	}
	return t
}

// Since is the first change after the last look, which is nil for a Service that
// is new: then it is the Service's creation.
func (t Triggers) Since(last *Triggers) time.Time {
	if last == nil {
		return t.Service
	}
	var first time.Time
	note := func(at, before time.Time) {
		if at.After(before) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for name, at := range t.Pods {
		note(at, last.Pods[name])
	}
	note(t.Service, last.Service)
	return first
}
