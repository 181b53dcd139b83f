package volume

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
)

// One volume's story: each thing is said once, to the pods of its node, and nothing
// is remembered of what is gone.
func TestAttachEvents(t *testing.T) {
	one, two := on("a"), on("b")
	one.UID, two.UID = "one", "two"
	told := map[types.UID]string{}
	refused := []PodEvent{{two, Event{corev1.EventTypeWarning, "FailedAttachVolume", "taken"}}}
	at := func(attached bool, failure ...string) []*storagev1.VolumeAttachment {
		a := attachedTo("a")
		a.UID, a.Status.Attached = "at", attached
		for _, f := range failure {
			a.Status.AttachError = &storagev1.VolumeError{Message: f}
		}
		return []*storagev1.VolumeAttachment{a}
	}
	const failed = `on-a Warning FailedAttachVolume AttachVolume.Attach failed for volume "pv" : `
	const done = `on-a Normal SuccessfulAttachVolume AttachVolume.Attach succeeded for volume "pv" `
	for i, c := range []struct {
		attachments []*storagev1.VolumeAttachment
		refused     []PodEvent
		want        string
		kept        int
	}{
		{at(true), nil, "", 0}, // it was attached before we looked
		{nil, nil, "", 0},
		{at(false), refused, "on-b Warning FailedAttachVolume taken", 2},
		{at(false), refused, "", 2},
		{at(false, "no route"), refused, failed + "no route", 2},
		{at(false, "no route"), nil, "", 1},
		{at(false, ""), nil, failed + "an error that says nothing", 1},
		{at(true), nil, done, 0},
		{at(true), nil, "", 0},
		{at(false), nil, "", 1},
		{nil, nil, "", 0}, // deleted before it was done
	} {
		s := AttachState{Volume: drivenPV(corev1.ReadWriteOnce), Pods: []*corev1.Pod{one, two}, Attachments: c.attachments}
		var events []PodEvent
		events, told = AttachEvents(s, c.refused, told)
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %s %s %s", e.Pod.Name, e.Type, e.Reason, e.Message))
		}
		if text := strings.Join(got, "; "); text != c.want || len(told) != c.kept {
			t.Errorf("step %d: %q, want %q; remembered: %v", i, text, c.want, told)
		}
	}
}
