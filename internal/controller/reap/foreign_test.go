package reap

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/reap"
)

// elsewhere is an aggregated API server with one object.
type elsewhere struct {
	asked int
	gone  bool
}

func (e *elsewhere) Owner(_ context.Context, _, _ string, key types.NamespacedName) (metav1.Object, error) {
	e.asked++
	if e.gone {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: "example.org", Resource: "things"}, key.Name)
	}
	return &metav1.ObjectMeta{Name: key.Name, UID: "u"}, nil
}

func (e *elsewhere) Definition(context.Context, string) (*Custom, error) { return nil, nil }

// TestForeignOwners asks another server once for an owner of many, and finds
// out that it is gone when they are looked at again.
func TestForeignOwners(t *testing.T) {
	server, clock := &elsewhere{}, clocktesting.NewFakeClock(time.Now())
	c := Loop(nil, server).New(loop.Env{Clock: clock}).(*collector)
	ref := metav1.OwnerReference{APIVersion: "example.org/v1", Kind: "Thing", Name: "t", UID: "u"}
	look := func(name string, want plan.Owner) {
		t.Helper()
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, OwnerReferences: []metav1.OwnerReference{ref}}}
		if !c.kinds.anyForeign(o) {
			t.Error("nothing of a foreign kind is seen")
		}
		if got, _, err := c.owner(t.Context(), o, ref); got != want || err != nil {
			t.Errorf("the owner of %s: %v, %v; want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		look(name, plan.Present)
	}
	if server.asked != 1 {
		t.Errorf("asked %d times for one owner", server.asked)
	}
	server.gone = true
	clock.Step(recheck)
	look("a", plan.Absent)
	clock.Step(recheck)
	look("b", plan.Absent)
	if server.asked != 2 {
		t.Errorf("asked %d times: what is gone stays so", server.asked)
	}
}
