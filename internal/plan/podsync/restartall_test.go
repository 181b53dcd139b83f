package podsync_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/podsync"
)

func watched(code int32) *toy {
	rule := corev1.ContainerRestartRule{
		Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{88}},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		RestartPolicy:  corev1.RestartPolicyNever,
		InitContainers: []corev1.Container{{Name: "watcher", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways), RestartPolicyRules: []corev1.ContainerRestartRule{rule}}},
		Containers:     []corev1.Container{{Name: "app"}, {Name: "other"}},
	}}
	n := newToy(pod)
	n.settle()
	n.exit(n.running("app").ID, 0)
	n.exit(n.running("watcher").ID, code)
	return n
}

func removed(plan podsync.Plan) (names []string) {
	for _, a := range plan.Actions {
		if a.Kind == podsync.RemoveContainer {
			names = append(names, a.Container)
		}
	}
	return names
}

// How sidecars of a pod end that is done means nothing.
func TestTheEndIsNoReasonToBeginAgain(t *testing.T) {
	n := watched(88)
	n.exit(n.running("other").ID, 0)
	if plan := podsync.Decide(n.State); len(removed(plan)) > 0 || plan.Status.Phase != corev1.PodSucceeded {
		t.Errorf("removes %v, %s", removed(plan), plan.Status.Phase)
	}
}

// The record of the one that asked is the last to go: an agent that restarts in
// between knows what it did, also when the API never heard of it.
func TestWhoAskedForAllIsRemovedLast(t *testing.T) {
	n := watched(88)
	plan := podsync.Decide(n.State)
	if c := plan.Status.Conditions[len(plan.Status.Conditions)-1]; c.Type != corev1.AllContainersRestarting || c.Status != corev1.ConditionTrue ||
		c.Reason != "RestartAllContainersStarted" || c.Message != "container exited with restart policy rule" {
		t.Errorf("%+v", c)
	}
	if len(plan.Actions) != 1 || plan.Actions[0].Kind != podsync.StopContainer || plan.Actions[0].Container != "other" || plan.Actions[0].Why != podsync.RestartingAll {
		t.Fatalf("%+v", plan.Actions)
	}
	n.Now = n.Now.Add(time.Second)
	n.exit(n.running("other").ID, 137)
	for _, want := range [][]string{{"app", "other"}, {"watcher"}} {
		n.Last = nil // the agent has just started, and the API knows nothing
		got := removed(podsync.Decide(n.State))
		if !slices.Equal(got, want) {
			t.Fatalf("removes %v, want %v", got, want)
		}
		n.Containers = slices.DeleteFunc(n.Containers, func(c podsync.Container) bool { return slices.Contains(want, c.Name) })
	}
	if plan := podsync.Decide(n.State); plan.Status.Conditions[len(plan.Status.Conditions)-1].Status != corev1.ConditionFalse || plan.Status.Phase != corev1.PodPending {
		t.Errorf("then: %+v", plan.Status)
	}
	if n := watched(7); len(removed(podsync.Decide(n.State))) > 0 {
		t.Error("another exit restarts all")
	}
}
