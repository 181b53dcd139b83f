package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/admit"
	"berth.dev/berth/internal/plan/podsync"
)

// What becomes of a pod is in the tally at once, and a worker that is done puts
// nothing back.
func TestWorkersAreCounted(t *testing.T) {
	a := &Agent{workers: map[types.UID]*worker{}, tally: admit.NewTally()}
	most := admit.Node{Object: &corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "a"}}
	w := &worker{agent: a, uid: "a", pod: pod, wake: make(chan struct{}, 1)}
	taken := func(what string, want bool) {
		t.Helper()
		if refused := a.beside(most, &corev1.Pod{}) != nil; refused != want {
			t.Errorf("%s: the place is taken: %v, want %v", what, refused, want)
		}
	}
	taken("nothing", false)
	w.change(func() { w.known = true })
	taken("known, not looked at", false)
	w.change(func() { w.promised = true })
	taken("promised", true)
	w.change(func() { w.admitted, w.promised = true, false })
	taken("taken", true)
	w.change(func() { w.kill = &podsync.Kill{Refused: true} })
	taken("refused", false)
	w.change(func() { w.kill = nil })
	w.change(func() { w.last = &corev1.PodStatus{Phase: corev1.PodSucceeded} })
	taken("ended", false)
	w.change(func() { w.last = nil })
	taken("again", true)
	w.change(func() { w.deleted = true })
	taken("deleted", false)
	w.change(func() { w.deleted = false })
	w.uncount()
	w.change(func() {})
	taken("done with", false)
}
