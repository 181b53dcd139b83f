package admit_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/admit"
)

// somePod has ports and resources of few kinds, so that pods collide.
func somePod(t *rapid.T, uid string) *corev1.Pod {
	asks := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, "example.com/thing"} {
		if n := rapid.IntRange(-1, 3).Draw(t, string(name)); n >= 0 {
			asks[name] = resource.MustParse(fmt.Sprint(n))
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: uid, UID: types.UID(uid)}}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: asks}}}
	if port := rapid.Int32Range(0, 3).Draw(t, "port"); port > 0 {
		pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: port, Protocol: corev1.ProtocolTCP}}
	}
	return pod
}

// Whatever comes, changes and goes, what is kept up to date says the same as
// what is counted anew.
func TestTallyIsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := admit.Node{OS: "linux", Object: &corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("6"), corev1.ResourceMemory: resource.MustParse("7"), "example.com/thing": resource.MustParse("5"),
			corev1.ResourcePods: resource.MustParse("4"),
		}}}}
		tally, pods := admit.NewTally(), []*corev1.Pod{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			uid := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "uid")
			is := func(p *corev1.Pod) bool { return p.UID == types.UID(uid) }
			pods = slices.DeleteFunc(pods, is)
			if rapid.Bool().Draw(t, "goes") {
				tally.Drop(types.UID(uid))
			} else {
				pod := somePod(t, uid)
				pods = append(pods, pod)
				tally.Set(pod.UID, pod)
				if rapid.Bool().Draw(t, "again") {
					tally.Set(pod.UID, pod)
				}
			}
			asks := somePod(t, "new")
			if diff := cmp.Diff(admit.Check(node, asks, pods), tally.Beside(node, asks)); diff != "" {
				t.Fatalf("beside %d pods (-all +tally):\n%s", len(pods), diff)
			}
		}
	})
}

func BenchmarkTaking(b *testing.B) {
	node := admit.Node{OS: "linux", Object: &corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourcePods: resource.MustParse("1000"),
	}}}}
	var pods []*corev1.Pod
	for i := range 500 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprint(i))}}
		pod.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}}}
		pods = append(pods, pod)
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			admit.Check(node, pods[0], pods[1:])
		}
	})
	b.Run("tally", func(b *testing.B) {
		tally := admit.NewTally(pods[1:]...)
		for b.Loop() {
			tally.Beside(node, pods[0])
		}
	})
}
