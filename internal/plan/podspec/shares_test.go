package podspec_test

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/internal/plan/podspec"
)

func TestClassShares(t *testing.T) {
	pod := func(class corev1.PodQOSClass, cpu string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{QOSClass: class}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}}}
	}
	for _, c := range []struct {
		pods  []*corev1.Pod
		burst int64
	}{
		{nil, 2},
		{[]*corev1.Pod{pod(corev1.PodQOSGuaranteed, "4"), pod(corev1.PodQOSBestEffort, "0")}, 2},
		{[]*corev1.Pod{pod(corev1.PodQOSBurstable, "500m"), pod(corev1.PodQOSGuaranteed, "4"), pod(corev1.PodQOSBurstable, "1500m")}, 2048},
	} {
		if got := podspec.ClassShares(c.pods); !maps.Equal(got, map[corev1.PodQOSClass]int64{corev1.PodQOSBurstable: c.burst, corev1.PodQOSBestEffort: 2}) {
			t.Errorf("%v, want %d", got, c.burst)
		}
	}
}
