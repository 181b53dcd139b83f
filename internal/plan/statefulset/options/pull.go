package options

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PullAnnotation, on a pod, asks its node for images: a Pull in JSON. The node
// answers by the condition ImagesPulled: True with PullAnswer as its message when
// it has all of them, False with what went wrong while one cannot be had.
const (
	PullAnnotation                         = "berth.dev/pull-images"
	ImagesPulled   corev1.PodConditionType = "berth.dev/ImagesPulled"
)

// Pull is what PullAnnotation holds.
type Pull struct {
	Images []string  `json:"images"`
	Since  time.Time `json:"since"`
}

// PullAsked reads what a pod's node is asked for; ok is false when it is nothing.
func PullAsked(pod *corev1.Pod) (pull Pull, ok bool) {
	text, given := pod.Annotations[PullAnnotation]
	return pull, given && json.Unmarshal([]byte(text), &pull) == nil
}

// String is the annotation's value.
func (p Pull) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return string(text)
}

// PullAnswer is the message of the condition when all images are there.
func PullAnswer(images []string) string {
	return strings.Join(slices.Sorted(slices.Values(images)), ",")
}
