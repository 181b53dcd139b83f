package all_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The real API server with its rights: an important pod takes the place of an
// unimportant one, and all that upstream says about it is said.
func TestPreemptionLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	pods := l.Client.CoreV1().Pods("default")
	_, err := l.Client.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000,
	}, metav1.CreateOptions{})
	must(t, err)
	create := func(name, cpu, class string) *corev1.Pod {
		p := single(name, name, cpu, 0)
		p.Spec.Priority, p.Spec.PriorityClassName = nil, class
		p, err := pods.Create(ctx, p, metav1.CreateOptions{})
		must(t, err)
		return p
	}
	get := func(name string) *corev1.Pod {
		p, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return p
	}
	create("low", "6", "")
	l.until("low to run", func() bool { p := get("low"); return p != nil && p.Status.Phase == corev1.PodRunning })

	create("equal", "6", "")
	l.until("the reason of a pod that fits nowhere", func() bool {
		p := get("equal")
		return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable &&
				c.Message == "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
		})
	})

	high := create("high", "6", "high")
	l.until("high to run in the place of low", func() bool {
		p := get("high")
		return p.Status.Phase == corev1.PodRunning && p.Status.NominatedNodeName == "" && get("low") == nil
	})
	l.until("the events", func() bool {
		return slices.Contains(l.said("Pod", "low"), fmt.Sprintf("default-scheduler Normal Preempted: Preempted by pod %s on node n1", high.UID)) &&
			slices.Contains(l.said("Pod", "high"), "default-scheduler Warning FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu.") &&
			slices.Contains(l.said("Pod", "high"), "default-scheduler Normal Scheduled: Successfully assigned default/high to n1")
	})

	// What is left of the node goes to whom it helps.
	must(t, pods.Delete(ctx, "high", metav1.DeleteOptions{}))
	l.until("equal to run", func() bool { return get("equal").Status.Phase == corev1.PodRunning })
}
