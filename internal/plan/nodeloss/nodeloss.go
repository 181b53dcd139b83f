// Package nodeloss decides when a pod of a lost node is replaced without that node
// having said that the pod has ended.
//
// Only a promise makes that safe. A renewal of a node's lease may name pods that
// will be dead so long after it was sent, unless another renewal is sent: the
// node's fence kills them then, whatever became of everything else there. Once
// that time is over here too, counted from when the renewal was noticed, which is
// later, the pods run no more and never will. What the node says after that
// changes nothing.
package nodeloss

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/nodelife"
	"berth.dev/berth/internal/plan/podready"
	"berth.dev/berth/internal/plan/statefulset/options"
)

const (
	// LeaseAnnotation holds the promise of a renewal.
	LeaseAnnotation = "berth.dev/fence"
	// Condition of a pod of a lost node says whether it is about to be replaced.
	Condition corev1.PodConditionType = "berth.dev/NodeLoss"
	// Fenced is the reason of a pod that the node itself has ended.
	Fenced = "Fenced"
	// NodeCondition tells whether a node's fence runs.
	NodeCondition corev1.NodeConditionType = "berth.dev/Fence"
	// Margin is added to every promise: what was being killed has ended, and clocks
	// of two machines that run at slightly different speeds agree.
	Margin = 5 * time.Second
)

// Reasons of Condition.
const (
	NotPromised = "FenceNotReported"
	Awaiting    = "AwaitingFence"
	Replacing   = "FencedByNode"
)

// Promise is what a renewal says.
type Promise struct {
	// After is how long after the sending of the renewal the pods are dead.
	After time.Duration
	Pods  []types.UID
}

type written struct {
	After string      `json:"after"`
	Pods  []types.UID `json:"pods"`
}

// String is the annotation; "" promises nothing.
func (p Promise) String() string {
	if len(p.Pods) == 0 {
		return ""
	}
	text, err := json.Marshal(written{p.After.String(), p.Pods})
	if err != nil {
		return ""
	}
	return string(text)
}

// Read is the promise of a lease. What cannot be understood promises nothing.
func Read(lease *coordinationv1.Lease) Promise {
	if lease == nil {
		return Promise{}
	}
	var w written
	if err := json.Unmarshal([]byte(lease.Annotations[LeaseAnnotation]), &w); err != nil {
		return Promise{}
	}
	after, err := time.ParseDuration(w.After)
	if err != nil || after <= 0 {
		return Promise{}
	}
	return Promise{after, w.Pods}
}

// Wanted reports whether a set asks for its pods to be replaced.
func Wanted(annotations map[string]string) bool {
	o, _ := options.Parse(annotations)
	return o.ReplaceLost
}

// Marked reports whether the pod says to its node that it may be replaced.
func Marked(pod *corev1.Pod) bool { return pod.Annotations[options.NodeLoss] == options.Replace }

// State is one pod of a StatefulSet.
type State struct {
	Pod *corev1.Pod
	// Wanted says that its set asks for it.
	Wanted bool
	// Node is the pod's, nil when there is none.
	Node *corev1.Node
	// Promise is that of the node's last renewal, which was noticed at Heard.
	Promise Promise
	Heard   time.Time
	Now     time.Time
}

// Plan is what to do.
type Plan struct {
	// Mark or Unmark the pod.
	Mark, Unmark bool
	// Condition is what the pod's status is to say, nil nothing.
	Condition *corev1.PodCondition
	// Replace says that nothing of the pod runs or ever will.
	Replace bool
	// Again is when to look again; 0 is never.
	Again time.Duration
}

// Decide on one pod.
func Decide(s State) Plan {
	var plan Plan
	switch marked := Marked(s.Pod); {
	case s.Wanted && !marked && s.Pod.DeletionTimestamp == nil && !podready.Ended(s.Pod):
		plan.Mark = true
	case !s.Wanted && marked:
		plan.Unmark = true
	}
	if !s.Wanted || s.Node == nil || nodelife.Ready(s.Node.Status.Conditions) != corev1.ConditionUnknown {
		return plan
	}
	say := func(status corev1.ConditionStatus, reason, format string, args ...any) {
		plan.Condition = &corev1.PodCondition{Type: Condition, Status: status, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	if !slices.Contains(s.Promise.Pods, s.Pod.UID) || s.Heard.IsZero() {
		say(corev1.ConditionFalse, NotPromised, "node %s is not heard from, and its last renewed lease names no fence that stops this pod: nobody knows whether it still runs, so it is not replaced", s.Node.Name)
		return plan
	}
	if left := s.Heard.Add(s.Promise.After + Margin).Sub(s.Now); left > 0 {
		plan.Again = left
		say(corev1.ConditionTrue, Awaiting, "node %s is not heard from; its fence stops this pod %s after the last renewed lease, then it is replaced", s.Node.Name, s.Promise.After)
		return plan
	}
	plan.Replace = true
	say(corev1.ConditionTrue, Replacing, "node %s is not heard from, and its fence has stopped this pod", s.Node.Name)
	return plan
}

// Said is the pod's condition, nil when it has none.
func Said(pod *corev1.Pod) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == Condition })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}

// Say brings the pod's condition up to date and reports whether that changed it.
func Say(pod *corev1.Pod, want *corev1.PodCondition, now time.Time) bool {
	has := Said(pod)
	switch {
	case want == nil && has == nil:
		return false
	case want == nil:
		pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == Condition })
		return true
	case has != nil && has.Status == want.Status && has.Reason == want.Reason && has.Message == want.Message:
		return false
	}
	c := *want
	c.LastTransitionTime = metav1.NewTime(now)
	if has == nil {
		pod.Status.Conditions = append(pod.Status.Conditions, c)
		return true
	}
	if has.Status == c.Status {
		c.LastTransitionTime = has.LastTransitionTime
	}
	*has = c
	return true
}
