package loop

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A write that is refused is not sent again before this has passed, whatever
// wakes the loop meanwhile: it would be refused for the same reason.
const (
	firstSpared   = 10 * time.Millisecond
	longestSpared = time.Second
	manySpared    = 1024 // from here on, what is long past is dropped
)

// Spare is a writer that does not repeat what was refused a moment ago: it gives
// the same answer again, at most for a second and not when the user has
// changed the object. Objects without a name yet are not told apart, so their
// loops need patience of their own.
func Spare(w Writer, c clock.PassiveClock) Writer {
	return &sparing{Writer: w, memory: &spared{clock: c, answers: map[spareKey]*refusal{}}}
}

type spareKey struct {
	verb string
	kind reflect.Type
	name types.NamespacedName
}

type refusal struct {
	uid        types.UID
	generation int64
	times      int
	until      time.Time
	err        error
}

type spared struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	answers map[spareKey]*refusal
}

// do writes, or gives the answer of a moment ago.
func (s *spared) do(verb string, obj client.Object, write func() error) error {
	if obj.GetName() == "" {
		return write()
	}
	key := spareKey{verb, reflect.TypeOf(obj), client.ObjectKeyFromObject(obj)}
	uid, generation := obj.GetUID(), obj.GetGeneration()
	if err := s.known(key, uid, generation); err != nil {
		return err
	}
	err := write()
	s.note(key, uid, generation, err)
	return err
}

func (s *spared) known(key spareKey, uid types.UID, generation int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.answers[key]
	if r == nil || r.uid != uid || r.generation != generation || !s.clock.Now().Before(r.until) {
		return nil
	}
	return r.err
}

func (s *spared) note(key spareKey, uid types.UID, generation int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isRefusal(err) {
		delete(s.answers, key)
		return
	}
	now := s.clock.Now()
	r := s.answers[key]
	if r == nil || r.uid != uid || r.generation != generation {
		if len(s.answers) >= manySpared {
			s.drop(now)
		}
		r = &refusal{uid: uid, generation: generation}
		s.answers[key] = r
	}
	r.err = err
	r.until = now.Add(min(firstSpared<<min(r.times, 16), longestSpared))
	r.times++
}

func (s *spared) drop(now time.Time) {
	for key, r := range s.answers {
		if r.until.Add(time.Minute).Before(now) {
			delete(s.answers, key)
		}
	}
}

// isRefusal leaves out what the next attempt may find otherwise, and what says
// itself when to come again.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err)
}

type sparing struct {
	Writer
	memory *spared
}

func (w *sparing) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	return w.memory.do("create", obj, func() error { return w.Writer.Create(ctx, obj, opts...) })
}

func (w *sparing) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return w.memory.do("update", obj, func() error { return w.Writer.Update(ctx, obj, opts...) })
}

func (w *sparing) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return w.memory.do("update", obj, func() error { return w.Writer.Patch(ctx, obj, patch, opts...) })
}

func (w *sparing) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	return w.memory.do("delete", obj, func() error { return w.Writer.Delete(ctx, obj, opts...) })
}

func (w *sparing) Status() client.SubResourceWriter { return w.SubResource("status") }

func (w *sparing) SubResource(name string) client.SubResourceClient {
	return &sparingPart{SubResourceClient: w.Writer.SubResource(name), memory: w.memory, name: name}
}

// sparingPart does the same for a subresource.
type sparingPart struct {
	client.SubResourceClient
	memory *spared
	name   string
}

func (w *sparingPart) Create(ctx context.Context, obj, part client.Object, opts ...client.SubResourceCreateOption) error {
	return w.memory.do("create "+w.name, obj, func() error { return w.SubResourceClient.Create(ctx, obj, part, opts...) })
}

func (w *sparingPart) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	return w.memory.do("update "+w.name, obj, func() error { return w.SubResourceClient.Update(ctx, obj, opts...) })
}

func (w *sparingPart) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return w.memory.do("update "+w.name, obj, func() error { return w.SubResourceClient.Patch(ctx, obj, patch, opts...) })
}
