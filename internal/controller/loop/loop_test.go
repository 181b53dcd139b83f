package loop

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestSlowStart(t *testing.T) {
	var calls atomic.Int32
	if err := SlowStart(10, 4, func(int) error { calls.Add(1); return nil }); err != nil || calls.Load() != 10 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
	calls.Store(0)
	fails := errors.New("no")
	if err := SlowStart(1000, 16, func(int) error { calls.Add(1); return fails }); !errors.Is(err, fails) || calls.Load() != 1 {
		t.Errorf("a call that always fails was tried %d times: %v", calls.Load(), err)
	}
	calls.Store(0)
	err := SlowStart(100, 16, func(i int) error {
		calls.Add(1)
		if i == 5 {
			return fails
		}
		return nil
	})
	if !errors.Is(err, fails) || calls.Load() != 1+2+4 {
		t.Errorf("%d calls until the batch of number 5 failed: %v", calls.Load(), err)
	}
	calls.Store(0)
	if err := SlowStart(5, 1, func(i int) error { calls.Add(1); return map[bool]error{true: fails}[i == 2] }); !errors.Is(err, fails) || calls.Load() != 3 {
		t.Errorf("one by one: %d calls, %v", calls.Load(), err)
	}
}

// api answers writes and holds one cached pod.
type api struct {
	Writer
	client.Reader
	version string
	err     error
	cached  *corev1.Pod
	seen    uint64
}

func (a *api) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	obj.SetResourceVersion(a.version)
	return a.err
}

func (a *api) Delete(context.Context, client.Object, ...client.DeleteOption) error { return a.err }

func (a *api) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	if a.cached == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, key.Name)
	}
	a.cached.DeepCopyInto(obj.(*corev1.Pod))
	return nil
}

func (a *api) Seen(kind client.Object) uint64 {
	if _, ok := kind.(*corev1.Pod); ok {
		return a.seen
	}
	return math.MaxUint64
}

func TestOwnWrites(t *testing.T) {
	ctx := t.Context()
	a := &api{version: "7", seen: 6}
	own := NewOwnWrites(Env{Cache: a, Write: a, Horizon: a})
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	pod := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "a"}}
	}
	if !own.Seen(ctx, key) {
		t.Fatal("a key without writes has nothing to wait for")
	}
	if err := own.Writer(key).Create(ctx, pod()); err != nil {
		t.Fatal(err)
	}
	if own.Seen(ctx, key) {
		t.Error("the cache is at 6, the write at 7")
	}
	if !own.Seen(ctx, types.NamespacedName{Name: "other"}) {
		t.Error("another key waits too")
	}
	a.seen = 7
	if !own.Seen(ctx, key) {
		t.Error("the cache shows the write")
	}
	a.err = errors.New("refused")
	a.seen, a.version = 7, "9"
	_ = own.Writer(key).Create(ctx, pod())
	if !own.Seen(ctx, key) {
		t.Error("a write that failed is waited for")
	}

	a.err, a.cached = nil, pod()
	if err := own.Writer(key).Delete(ctx, pod()); err != nil {
		t.Fatal(err)
	}
	if own.Seen(ctx, key) {
		t.Error("the cache still shows the deleted pod alive")
	}
	a.cached.DeletionTimestamp = ptr.To(metav1.Now())
	if !own.Seen(ctx, key) {
		t.Error("the cache shows the pod terminating")
	}
	_ = own.Writer(key).Delete(ctx, pod())
	a.cached = pod()
	a.cached.UID = "b"
	if !own.Seen(ctx, key) {
		t.Error("the cache shows another pod of that name")
	}
	_ = own.Writer(key).Delete(ctx, pod())
	a.cached = nil
	if !own.Seen(ctx, key) || len(own.keys) != 0 {
		t.Errorf("the pod is gone, but %d keys are kept", len(own.keys))
	}
}

func TestKeyOfTellsKindsApart(t *testing.T) {
	partial := func(kind string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
	}
	if KeyOf(partial("Pod")) == KeyOf(partial("Secret")) || KeyOf(partial("Pod")) == KeyOf(&corev1.Pod{}) {
		t.Error("kinds are confused")
	}
	named := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	if KeyOf(named) != KeyOf(&corev1.Pod{}) {
		t.Error("a typed object's kind depends on its TypeMeta")
	}
}
