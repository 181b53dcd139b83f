package scheduler

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/schedule"
)

func TestWeights(t *testing.T) {
	pod := func(uid int, cpu string) *corev1.Pod {
		p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{}}}}
		p.UID = types.UID(fmt.Sprint(uid))
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		return p
	}
	check := func(w weights, p *corev1.Pod) {
		t.Helper()
		if diff := cmp.Diff(schedule.Weigh(p), w.weigh(p), cmp.AllowUnexported(schedule.Weight{})); diff != "" {
			t.Error(diff)
		}
	}
	w := weights{}
	one, two := pod(1, "1"), pod(1, "2")
	check(w, one)
	check(w, one)
	check(w, two) // the same pod, changed
	for i := range 200 {
		check(w, pod(i, "3"))
	}
	if w.trim(60); len(w) != 200 {
		t.Errorf("forgot pods that are there: %d of 200 left", len(w))
	}
	if w.trim(40); len(w) != 0 {
		t.Errorf("%d pods that are gone are remembered", len(w))
	}
	check(w, one)
}
