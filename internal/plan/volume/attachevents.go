package volume

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
)

// AttachEvents are what is to be told to the pods of a volume: what came of its
// attachments, and why pods get none, each once. told is what was said before, by
// attachment and pod; the text of an attachment that was seen before it was done is
// empty, and one that was done when it was first seen is not in it. What comes back
// has nothing of what is gone.
func AttachEvents(s AttachState, refused []PodEvent, told map[types.UID]string) ([]PodEvent, map[types.UID]string) {
	var events []PodEvent
	now := map[types.UID]string{}
	for _, e := range refused {
		if now[e.Pod.UID] = e.Message; told[e.Pod.UID] != e.Message {
			events = append(events, e)
		}
	}
	for _, at := range s.Attachments {
		before, pending := told[at.UID]
		kind, reason, message := corev1.EventTypeNormal, "SuccessfulAttachVolume", fmt.Sprintf("AttachVolume.Attach succeeded for volume %q ", s.Volume.Name)
		switch failed := at.Status.AttachError; {
		case at.Status.Attached && !pending:
			continue // it was before we looked
		case at.Status.Attached:
		case failed != nil:
			kind, reason = corev1.EventTypeWarning, "FailedAttachVolume"
			message = fmt.Sprintf("AttachVolume.Attach failed for volume %q : %s", s.Volume.Name, errorOf(failed))
			if now[at.UID] = message; before == message {
				continue
			}
		default:
			now[at.UID] = before
			continue
		}
		for _, pod := range s.Pods {
			if pod.Spec.NodeName == at.Spec.NodeName {
				events = append(events, PodEvent{pod, Event{kind, reason, message}})
			}
		}
	}
	return events, now
}

func errorOf(e *storagev1.VolumeError) string {
	if e.Message == "" {
		return "an error that says nothing"
	}
	return e.Message
}
