package resize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/resize"
)

func TestBefore(t *testing.T) {
	pod := func(name string, priority int32, class corev1.PodQOSClass, age int) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0))},
			Spec:       corev1.PodSpec{Priority: &priority}, Status: corev1.PodStatus{QOSClass: class},
		}
	}
	pods := []*corev1.Pod{
		pod("6", 0, corev1.PodQOSBestEffort, 9), pod("4", 0, corev1.PodQOSBurstable, 5), pod("1", 7, corev1.PodQOSBestEffort, 0), pod("3", 0, corev1.PodQOSGuaranteed, 1),
		pod("5", 0, corev1.PodQOSBurstable, 5), pod("2", 0, corev1.PodQOSGuaranteed, 2),
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		switch {
		case resize.Before(a, b):
			return -1
		case resize.Before(b, a):
			return 1
		}
		return 0
	})
	var names []string
	for _, p := range pods {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "1 2 3 4 5 6" {
		t.Error(got)
	}
	if resize.Before(pods[0], pods[0]) {
		t.Error("before itself")
	}
}
