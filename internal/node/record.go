package node

import (
	"context"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// startEvents makes the recorder unless one was given.
func (a *Agent) startEvents(ctx context.Context) (stop func()) {
	if a.cfg.Events != nil {
		a.events = a.cfg.Events
		return func() {}
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.cfg.Client.CoreV1().Events("")})
	a.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: a.cfg.NodeName})
	return broadcaster.Shutdown
}

// reference points at a pod, or at one of its containers.
func reference(pod *corev1.Pod, container string) *corev1.ObjectReference {
	ref := &corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name,
		UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}
	if container == "" {
		return ref
	}
	field := "spec.containers"
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == container {
			field = "spec.initContainers"
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == container {
			field = "spec.ephemeralContainers"
		}
	}
	ref.FieldPath = field + "{" + container + "}"
	return ref
}

// attempt is the name that the runtime gave to what it could not make, with
// the space or slash before it.
var attempt = regexp.MustCompile(`( "?|/)\b[0-9a-f]{64}\b"?`)

// lasting is a runtime's message without the names that each try makes up
// anew: the same failure is one event with a count, and a status that stays.
func lasting(message string) string { return attempt.ReplaceAllString(message, "") }

// event records an event about a pod, or about one of its containers.
func (a *Agent) event(pod *corev1.Pod, container, kind, reason, message string) {
	a.events.Event(reference(pod, container), kind, reason, message)
}
