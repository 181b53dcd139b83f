package node_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// limits gives a pod's container those limits, as the resize subresource does.
func (b *bed) limits(name, cpu, memory string) {
	pod := b.get(name)
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: list, Requests: list}
	pod.Generation++
	b.update(pod)
}

// resizing are the resize conditions and what the container runs with.
func (b *bed) resizing(name string) string {
	pod := b.get(name)
	var out []string
	for _, c := range pod.Status.Conditions {
		if strings.HasPrefix(string(c.Type), "PodResize") {
			out = append(out, string(c.Type)+" "+c.Reason+": "+c.Message)
		}
	}
	if s := pod.Status.ContainerStatuses; len(s) > 0 && s[0].Resources != nil {
		out = append(out, s[0].Resources.Limits.Cpu().String()+" "+s[0].Resources.Limits.Memory().String()+" of "+s[0].AllocatedResources.Cpu().String())
	}
	return strings.Join(out, ", ")
}

// Resources change while a container runs; what the node cannot give is said
// and waits, over a restart of the agent too.
func TestResize(t *testing.T) {
	b := newBed(t)
	b.stop()
	have := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("10")}
	begin := func() {
		cfg := b.config()
		cfg.Node = func() *corev1.Node {
			return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Allocatable: have}}
		}
		b.begin(cfg)
	}
	begin()
	for _, name := range []string{"big", "small"} {
		pod := demo(name)
		list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("100Mi")}
		pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: list, Requests: list}
		b.create(pod)
	}
	b.eventually("both Ready", func() bool { return b.ready("big") && b.ready("small") })
	shows := func(pod, want string) {
		t.Helper()
		b.eventually(pod+" shows "+want+", last "+b.resizing(pod), func() bool { return b.resizing(pod) == want })
	}
	id := b.get("big").Status.ContainerStatuses[0].ContainerID

	b.limits("big", "3", "200Mi")
	shows("big", "3 200Mi of 3")
	for _, want := range []string{"Normal ResizeStarted Pod resize started: ", "Normal ResizeCompleted Pod resize completed: "} {
		if !b.events.has(want + `{"containers":[{"name":"app","resources":{"limits":{"cpu":"3","memory":"200Mi"},"requests":{"cpu":"3","memory":"200Mi"}}}],"generation":2}`) {
			t.Errorf("no event %q in %v", want, b.events.events)
		}
	}
	for _, c := range b.runtime.Containers() {
		if "containerd://"+c.ID == id && (c.Config.Linux.Resources.CpuQuota != 300_000 || c.Config.Linux.Resources.MemoryLimitInBytes != 200<<20) {
			t.Errorf("the container has %v", c.Config.Linux.Resources)
		}
	}
	b.limits("small", "9", "100Mi")
	const infeasible = "PodResizePending Infeasible: Node didn't have enough capacity: cpu, requested: 9000, capacity: 4000, 1 100Mi of 1"
	shows("small", infeasible)
	b.limits("small", "2", "100Mi")
	const deferred = "PodResizePending Deferred: Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000, 1 100Mi of 1"
	shows("small", deferred)

	b.stop()
	begin()
	shows("small", deferred)
	// Room comes: it is given at once.
	b.limits("big", "1", "200Mi")
	shows("big", "1 200Mi of 1")
	shows("small", "2 100Mi of 2")
	// Less memory than the container uses is refused, and said.
	b.limits("small", "2", "1Mi")
	shows("small", "PodResizeInProgress Error: attempting to set container memory limit (1048576) below current usage (1048576), 2 100Mi of 2")
	b.limits("small", "2", "100Mi")
	shows("small", "2 100Mi of 2")
	restarts := []int32{b.get("big").Status.ContainerStatuses[0].RestartCount, b.get("small").Status.ContainerStatuses[0].RestartCount}
	if diff := cmp.Diff([]int32{0, 0}, restarts); diff != "" || b.get("big").Status.ContainerStatuses[0].ContainerID != id {
		t.Errorf("containers were restarted: %s", diff)
	}
}
