package loop

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// answering is a writer that gives always the same answer.
type answering struct {
	Writer
	err   error
	asked int
}

func (a *answering) Update(context.Context, client.Object, ...client.UpdateOption) error {
	a.asked++
	return a.err
}

func (a *answering) Create(context.Context, client.Object, ...client.CreateOption) error {
	a.asked++
	return a.err
}

func TestSpare(t *testing.T) {
	var (
		things   = schema.GroupResource{Resource: "pods"}
		clock    = clocktesting.NewFakeClock(time.Now())
		api      = &answering{err: apierrors.NewForbidden(things, "p", errors.New("no"))}
		w        = Spare(api, clock)
		pod      = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1", Generation: 1}}
		ctx      = t.Context()
		attempts = func(d time.Duration) int {
			before := api.asked
			for end := clock.Now().Add(d); clock.Now().Before(end); clock.Step(5 * time.Millisecond) {
				if err := w.Update(ctx, pod); !errors.Is(err, api.err) {
					t.Fatalf("answered %v", err)
				}
			}
			return api.asked - before
		}
	)
	if n := attempts(10 * time.Second); n < 10 || n > 20 {
		t.Errorf("asked %d times in the first ten seconds", n)
	}
	if n := attempts(time.Minute); n < 59 || n > 61 {
		t.Errorf("asked %d times in a minute", n)
	}
	asked := func(what string, want int, do func() error) {
		t.Helper()
		before := api.asked
		_ = do()
		if n := api.asked - before; n != want {
			t.Errorf("%s: asked %d times", what, n)
		}
	}
	update := func() error { return w.Update(ctx, pod) }
	clock.Step(time.Second)
	asked("its time has come", 1, update)
	asked("at once again", 0, update)
	asked("another verb", 1, func() error { return w.Create(ctx, pod) })
	pod.Generation = 2
	asked("the user has changed it", 1, update)
	pod.UID = "2"
	asked("another object", 1, update)
	clock.Step(time.Second)
	api.err = nil
	asked("taken", 1, update)
	asked("and once more", 1, update)
	for _, api.err = range []error{
		apierrors.NewConflict(things, "p", errors.New("x")), apierrors.NewNotFound(things, "p"), apierrors.NewTooManyRequests("later", 1),
		apierrors.NewAlreadyExists(things, "p"), errors.New("connection refused"), context.Canceled,
	} {
		_ = update()
		asked(api.err.Error(), 1, update)
	}
	api.err = apierrors.NewForbidden(things, "", errors.New("no"))
	fresh := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"}}
	_ = w.Create(ctx, fresh)
	asked("one without a name", 1, func() error { return w.Create(ctx, fresh) })
}
