package resize_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/plan/resize"
)

func asking(cpu, memory string) *corev1.Pod {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: list, Limits: list}}}}}
}

// Messages are upstream's, word for word.
func TestCheck(t *testing.T) {
	node := &corev1.Node{Status: corev1.NodeStatus{Allocatable: asking("4", "1Gi").Spec.Containers[0].Resources.Requests}}
	others := []*corev1.Pod{asking("3", "100Mi")}
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		static bool
		want   *resize.Pending
	}{
		"fits":     {pod: asking("1", "100Mi")},
		"too much": {pod: asking("5", "100Mi"), want: &resize.Pending{"Infeasible", "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000"}},
		"memory":   {pod: asking("1", "2Gi"), want: &resize.Pending{"Infeasible", "Node didn't have enough capacity: memory, requested: 2147483648, capacity: 1073741824"}},
		"not now":  {pod: asking("2", "100Mi"), want: &resize.Pending{"Deferred", "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"}},
		"static":   {pod: asking("1", "100Mi"), static: true, want: &resize.Pending{"Infeasible", "In-place resize of static-pods is not supported"}},
	} {
		if diff := cmp.Diff(c.want, resize.Check(node, c.static, c.pod, others)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestMessage(t *testing.T) {
	pod := asking("300m", "128Mi")
	pod.Generation = 2
	const resources = `{"containers":[{"name":"c","resources":{"limits":{"cpu":"300m","memory":"128Mi"},"requests":{"cpu":"300m","memory":"128Mi"}}}],"generation":2`
	for what, want := range map[string]string{"started": "Pod resize started: " + resources + "}", "Deferred": "Pod resize Deferred: " + resources + `,"error":"no room"}`} {
		problem := ""
		if what == "Deferred" {
			problem = "no room"
		}
		if got := resize.Message(what, pod, problem); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// An agent that begins finds what its predecessor gave.
func TestAllocation(t *testing.T) {
	old, now := asking("1", "100Mi"), asking("2", "200Mi")
	given := resize.Of(old)
	if given.Wanted(old) || !given.Wanted(now) {
		t.Error("it does not see what changed")
	}
	if got := given.Apply(now); got == now || !cmp.Equal(got.Spec, old.Spec) || given.Apply(old) != old {
		t.Errorf("applied: %v", got.Spec)
	}
	now.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		Resources: old.Spec.Containers[0].Resources.DeepCopy(), AllocatedResources: old.Spec.Containers[0].Resources.Requests,
	}}
	if diff := cmp.Diff(given, resize.FromStatus(now)); diff != "" {
		t.Error(diff)
	}
	now.Status.ContainerStatuses[0].State = corev1.ContainerState{}
	if resize.FromStatus(now).Wanted(now) {
		t.Error("a container that does not run keeps it from what it asks for")
	}
}
