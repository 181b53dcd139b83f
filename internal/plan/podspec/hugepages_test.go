package podspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/plan/podspec"
)

func TestHugePages(t *testing.T) {
	limits := func(name, amount string) corev1.ResourceRequirements {
		list := corev1.ResourceList{corev1.ResourceName(name): resource.MustParse(amount), corev1.ResourceMemory: resource.MustParse("1Gi")}
		return corev1.ResourceRequirements{Limits: list, Requests: list}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "a", Resources: limits("hugepages-2Mi", "4Mi")}, {Name: "b", Resources: limits("hugepages-2Mi", "6Mi")},
	}}}
	sizes := []int64{64 << 10, 2 << 20, 1 << 30}
	if diff := cmp.Diff([]podspec.HugePages{{"64KB", 0}, {"2MB", 10 << 20}, {"1GB", 0}}, podspec.PodHugePages(pod, sizes)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]podspec.HugePages{{"64KB", 0}, {"2MB", 4 << 20}, {"1GB", 0}}, podspec.ContainerHugePages(&pod.Spec.Containers[0], sizes)); diff != "" {
		t.Error(diff)
	}
	if got := podspec.PodHugePages(pod, nil); len(got) != 0 {
		t.Errorf("a node without huge pages: %v", got)
	}
}
