package owned_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
)

// pod is one with these labels, controlled by the ReplicaSet of that name, if any.
func pod(controller, label string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: map[string]string{"app": label}}}
	if controller != "" {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: controller, Controller: ptr.To(true)}}
	}
	return p
}

func TestWhoIsWoken(t *testing.T) {
	going := pod("", "x")
	going.DeletionTimestamp = ptr.To(metav1.Now())
	for name, c := range map[string]struct {
		ev        loop.Event
		woken     []string
		adoptable bool
	}{
		"new":              {ev: loop.Event{New: pod("a", "x")}, woken: []string{"a"}},
		"changed":          {ev: loop.Event{Old: pod("a", "x"), New: pod("a", "y")}, woken: []string{"a"}},
		"handed over":      {ev: loop.Event{Old: pod("a", "x"), New: pod("b", "x")}, woken: []string{"b", "a"}},
		"gone":             {ev: loop.Event{Old: pod("a", "x")}, woken: []string{"a"}},
		"let go":           {ev: loop.Event{Old: pod("a", "x"), New: pod("", "x")}, woken: []string{"a"}, adoptable: true},
		"new orphan":       {ev: loop.Event{New: pod("", "x")}, adoptable: true},
		"orphan as it is":  {ev: loop.Event{Old: pod("", "x"), New: pod("", "x")}},
		"other labels":     {ev: loop.Event{Old: pod("", "x"), New: pod("", "y")}, adoptable: true},
		"orphan that goes": {ev: loop.Event{New: going}},
		"orphan gone":      {ev: loop.Event{Old: pod("", "x")}},
	} {
		var woken []string
		for _, req := range owned.Controllers(c.ev, appsv1.SchemeGroupVersion.WithKind("ReplicaSet")) {
			woken = append(woken, req.Name)
		}
		if diff := cmp.Diff(c.woken, woken); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if others := owned.Controllers(c.ev, appsv1.SchemeGroupVersion.WithKind("StatefulSet")); len(others) > 0 {
			t.Errorf("%s: another kind is woken: %v", name, others)
		}
		if got := owned.Adoptable(c.ev); got != c.adoptable {
			t.Errorf("%s: adoptable %t", name, got)
		}
	}
}
