package node_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/plan/podsync"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// small is a node with room for one pod of 1 CPU.
func small(labels map[string]string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: labels},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourcePods: resource.MustParse("10"),
		}},
	}
}

func oneCPU(name string) *corev1.Pod {
	pod := demo(name)
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	return pod
}

// onSmall starts the agent on a node that its own copy shows as it was.
func (b *bed) onSmall() {
	b.begin(node.Config{
		NodeName: "n1", Client: b.client, Runtime: b.runtime.Dial(), Dir: b.dir, Volumes: b.volumes, Events: b.events,
		NodeIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, CgroupParent: "/berth-test-" + b.dir.ID(),
		Node: func() *corev1.Node { return small(nil) },
	})
}

// A pod that is bound to a node without room fails and nothing of it is begun;
// one that runs is never asked again.
func TestBoundWithoutRoom(t *testing.T) {
	b := newBed(t)
	b.create(oneCPU("first"))
	b.eventually("first runs", func() bool { return b.ready("first") })
	second := oneCPU("second")
	b.create(second)
	b.eventually("second runs: nobody knows the node yet", func() bool { return b.ready("second") })
	b.stop()

	b.onSmall()
	third := oneCPU("third")
	b.create(third)
	failed := func(name string) bool { p := b.get(name); return p != nil && p.Status.Phase == corev1.PodFailed }
	b.eventually("third fails", func() bool { return failed("third") })
	const message = "Node didn't have enough resource: cpu, requested: 1000, used: 2000, capacity: 1000"
	got := b.get("third").Status
	if got.StartTime == nil {
		t.Error("no start time")
	}
	got.StartTime = nil
	want := corev1.PodStatus{ObservedGeneration: 1, Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "Pod was rejected: " + message, QOSClass: corev1.PodQOSBurstable}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !b.events.has("Warning OutOfcpu " + message) {
		t.Errorf("events: %q", b.events.events)
	}
	if slices.Contains(b.runtime.Calls(), "RunPodSandbox third") {
		t.Error("a sandbox was made for it")
	}
	if !b.ready("first") || !b.ready("second") {
		t.Error("a running pod was disturbed")
	}

	// A later agent leaves its status alone, and what ended gives its room back.
	b.stop()
	b.onSmall()
	if diff := cmp.Diff(want.Message, b.get("third").Status.Message); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"first", "second", "third"} {
		b.delete(name, metav1.DeleteOptions{})
		b.eventually(name+" is gone", func() bool { return b.get(name) == nil })
	}
	b.create(oneCPU("fourth"))
	b.eventually("fourth runs", func() bool { return b.ready("fourth") })
}

// Labels may have changed since the node was last read: it is read again.
func TestBoundBySelector(t *testing.T) {
	b := newBed(t)
	b.stop()
	if _, err := b.client.CoreV1().Nodes().Create(context.Background(), small(map[string]string{"disk": "ssd"}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.onSmall()
	for name, disk := range map[string]string{"good": "ssd", "bad": "hdd"} {
		pod := demo(name)
		pod.Spec.NodeSelector = map[string]string{"disk": disk}
		b.create(pod)
	}
	b.eventually("good runs", func() bool { return b.ready("good") })
	b.eventually("bad fails", func() bool { p := b.get("bad"); return p != nil && p.Status.Reason == "NodeAffinity" })
}

// A pod that the node ends says why at once, fails when nothing of it runs any
// more, and stays until somebody deletes it.
func TestEnd(t *testing.T) {
	b := newBed(t)
	b.create(demo("app"))
	b.eventually("it runs", func() bool { return b.ready("app") && len(b.agent.Running()) == 1 })
	grace := int64(7)
	gone := b.agent.End("uid-app", podsync.Kill{
		Phase: corev1.PodFailed, Reason: "Evicted", Message: "too much", Grace: &grace,
		Condition: corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet", Message: "too much"},
	})
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if n := len(b.agent.Running()); n != 0 {
		t.Errorf("%d pods run", n)
	}
	b.eventually("it failed", func() bool { return b.get("app").Status.Phase == corev1.PodFailed })
	got := b.get("app").Status
	if got.Reason != "Evicted" || got.Message != "too much" || got.ContainerStatuses[0].State.Terminated == nil || got.Conditions[0].Type != corev1.DisruptionTarget {
		t.Errorf("%+v", got)
	}
	if !b.events.has("Warning Evicted too much") {
		t.Errorf("%q", b.events.events)
	}
	b.delete("app", metav1.DeleteOptions{})
	b.eventually("it is gone", func() bool { return b.get("app") == nil })
	select {
	case <-b.agent.End("uid-app", podsync.Kill{}):
	case <-time.After(time.Minute):
		t.Error("who waits for a pod that is gone waits for ever")
	}
}

// A pod that is deleted by force while its sandbox is being made leaves none.
func TestDeletedWhileItsSandboxIsMade(t *testing.T) {
	b := newBed(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	b.runtime.SetFail(func(method string, _ any) error {
		if method == "RunPodSandbox" {
			close(begun)
			<-goOn
		}
		return nil
	})
	b.create(demo("app"))
	<-begun
	now := int64(0)
	b.delete("app", metav1.DeleteOptions{GracePeriodSeconds: &now})
	b.eventually("the agent knows", func() bool { return len(b.agent.Running()) == 0 && b.get("app") == nil })
	time.Sleep(20 * time.Millisecond) // it might give up waiting
	close(goOn)
	b.eventually("the sandbox is made and removed", func() bool {
		return slices.Contains(b.runtime.Calls(), "RunPodSandbox app") && len(b.runtime.Sandboxes()) == 0 && !b.agent.Knows("uid-app")
	})
}

// A critical pod that only lacks resources takes those of others: it begins when
// they have ended, and nobody else gets what was made free for it.
func TestCriticalPodMakesRoom(t *testing.T) {
	b := newBed(t)
	b.stop()
	b.onSmall()
	b.create(oneCPU("first"))
	b.eventually("first runs", func() bool { return b.ready("first") })
	critical := oneCPU("critical")
	priority := int32(2_000_000_000)
	critical.Spec.Priority = &priority
	b.create(critical)
	b.eventually("critical runs", func() bool { return b.ready("critical") })
	// What became of first is written when its containers have ended, beside what comes next.
	b.eventually("first has failed, preempted", func() bool {
		got := b.get("first").Status
		return got.Phase == corev1.PodFailed && got.Reason == "Preempting" && got.Message == "Preempted in order to admit critical pod"
	})
	if !b.events.has("Warning Preempting Preempted in order to admit critical pod") {
		t.Errorf("events: %q", b.events.events)
	}
	third := oneCPU("third")
	b.create(third)
	b.eventually("third is refused", func() bool { p := b.get("third"); return p != nil && p.Status.Reason == "OutOfcpu" })
	// It is no better than the one that is there.
	other := critical.DeepCopy()
	other.Name, other.UID = "other", "uid-other"
	b.create(other)
	b.eventually("other is refused", func() bool {
		p := b.get("other")
		return p != nil && p.Status.Reason == "UnexpectedAdmissionError"
	})
}
