package sim

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// running is one loop in the simulated process.
type running struct {
	loop    loop.Loop
	rec     reconcile.Reconciler
	queue   []reconcile.Request
	timers  map[reconcile.Request]time.Time
	retries map[reconcile.Request]int
}

// crashed is thrown through a loop when the process dies in the middle of it.
type crashed struct{}

// startLoops is a process start: fresh memory, fresh caches, every object new.
func (s *Sim) startLoops() {
	s.views = map[schema.GroupVersionKind]*view{}
	s.loops = nil
	for _, l := range s.config.Loops {
		for _, w := range l.Watches {
			s.hold(w.Kind)
		}
		for _, index := range l.Indexes {
			s.hold(index.Kind)
		}
	}
	for _, l := range s.config.Loops {
		r := &running{loop: l, timers: map[reconcile.Request]time.Time{}, retries: map[reconcile.Request]int{}}
		r.rec = l.New(s.env(l))
		s.loops = append(s.loops, r)
		s.enqueueAll(r)
	}
}

// hold fills the cache of one kind from the store.
func (s *Sim) hold(kind client.Object) {
	gvk, err := s.store.gvk(kind)
	if err != nil {
		panic(err)
	}
	if s.views[gvk] != nil {
		return
	}
	k := s.store.kind(gvk)
	v := &view{objects: map[types.NamespacedName]client.Object{}, next: len(k.log), version: s.store.version}
	for key, obj := range k.objects {
		v.objects[key] = obj
	}
	s.views[gvk] = v
}

func (s *Sim) indexes() map[indexKey]func(client.Object) []string {
	all := map[indexKey]func(client.Object) []string{}
	for _, l := range s.config.Loops {
		for _, index := range l.Indexes {
			gvk, err := s.store.gvk(index.Kind)
			if err != nil {
				panic(err)
			}
			all[indexKey{gvk, index.Field}] = index.Keys
		}
	}
	return all
}

func (s *Sim) cached(handed func(client.Object)) *reader {
	return &reader{
		store: s.store, indexes: s.indexes(), handed: handed,
		objects: func(gvk schema.GroupVersionKind) map[types.NamespacedName]client.Object {
			if v := s.views[gvk]; v != nil {
				return v.objects
			}
			return nil
		},
	}
}

func (s *Sim) env(l loop.Loop) loop.Env {
	return loop.Env{
		Cache:   s.cached(s.handOut),
		Horizon: horizon{s},
		Live:    s.live(),
		Write: loop.Spare(&writer{
			sim: s, store: s.store, before: s.beforeWrite(l.Name), after: s.afterWrite,
			failed: func(verb string, obj client.Object) { s.noteFailure(l.Name, verb, obj) },
		}, s.clock),
		Events:   recorder{s, l.Name},
		Clock:    s.clock,
		Parallel: 1,
	}
}

// recorder puts events into the trace.
type recorder struct {
	sim  *Sim
	loop string
}

func (r recorder) Event(_ runtime.Object, _, reason, message string) {
	r.sim.log("%s: event %s: %s", r.loop, reason, message)
}

func (s *Sim) beforeWrite(name string) func(string, client.Object) error {
	return func(verb string, obj client.Object) error {
		s.writes++
		s.log("%s: %s %s %s/%s", name, verb, reflect.TypeOf(obj).Elem().Name(), obj.GetNamespace(), obj.GetName())
		if err := s.guard(name, verb, obj); err != nil {
			s.ignore(s.fail(err))
		}
		if chance(s.rand, s.faults.Crash) {
			s.log("fault: the process dies before that")
			panic(crashed{})
		}
		if chance(s.rand, s.faults.Conflict) {
			s.log("fault: conflict")
			return apierrors.NewConflict(schema.GroupResource{}, obj.GetName(), errors.New("simulated"))
		}
		if chance(s.rand, s.faults.Error) {
			s.log("fault: server error, nothing written")
			return apierrors.NewInternalError(errors.New("simulated"))
		}
		if s.config.Refuse != nil {
			return s.config.Refuse(name, verb, obj)
		}
		return nil
	}
}

func (s *Sim) afterWrite(verb string, obj client.Object) error {
	if verb == "delete" || verb == "evict" {
		s.deleted[client.ObjectKeyFromObject(obj)] = obj.GetUID() // names of other kinds do no harm
	}
	if chance(s.rand, s.faults.Crash) {
		s.log("fault: the process dies after that")
		panic(crashed{})
	}
	if chance(s.rand, s.faults.Error) {
		s.log("fault: written, but the answer is lost")
		if verb == "create" {
			s.lost++
		}
		return apierrors.NewTimeoutError("simulated", 0)
	}
	return nil
}

// enqueueAll gives a loop an add event for every object that it watches.
func (s *Sim) enqueueAll(r *running) {
	for _, w := range r.loop.Watches {
		gvk, _ := s.store.gvk(w.Kind)
		for _, obj := range sorted(s.views[gvk].objects) {
			s.tell(r, w, change{new: obj})
		}
	}
}

// tell maps one change to keys of one loop.
func (s *Sim) tell(r *running, w loop.Watch, c change) {
	if w.Map == nil {
		return
	}
	event := loop.Event{}
	if c.old != nil {
		event.Old = as(w.Kind, c.old)
	}
	if c.new != nil {
		event.New = as(w.Kind, c.new)
	}
	for _, req := range w.Map(s.ctx, s.cached(nil), event) {
		r.add(req)
	}
}

// as is obj in the shape that a watch of that kind sees it.
func as(kind, obj client.Object) client.Object {
	if partial, ok := kind.(*metav1.PartialObjectMetadata); ok {
		return &metav1.PartialObjectMetadata{TypeMeta: partial.TypeMeta, ObjectMeta: *metaOf(obj)}
	}
	return obj
}

func (r *running) add(req reconcile.Request) {
	if !slices.Contains(r.queue, req) {
		r.queue = append(r.queue, req)
	}
}

// deliver lets the cache of one kind follow one entry of the log.
func (s *Sim) deliver(gvk schema.GroupVersionKind) {
	v, k := s.views[gvk], s.store.kind(gvk)
	c := k.log[v.next]
	v.next++
	v.version = c.version
	s.show(gvk, v, c)
}

// relist is a lost watch: the cache jumps to the newest state and only sees what
// is different then.
func (s *Sim) relist(gvk schema.GroupVersionKind) {
	v, k := s.views[gvk], s.store.kind(gvk)
	s.log("fault: watch of %s lost, listing again", gvk.Kind)
	v.next, v.version = len(k.log), s.store.version
	for _, old := range sorted(v.objects) {
		if k.objects[client.ObjectKeyFromObject(old)] == nil {
			s.show(gvk, v, change{old: old})
		}
	}
	for _, obj := range sorted(k.objects) {
		old := v.objects[client.ObjectKeyFromObject(obj)]
		switch {
		case old != nil && old.GetUID() != obj.GetUID():
			s.show(gvk, v, change{old: old})
			s.show(gvk, v, change{new: obj})
		case old == nil || old.GetResourceVersion() != obj.GetResourceVersion():
			s.show(gvk, v, change{old: old, new: obj})
		}
	}
}

func (s *Sim) show(gvk schema.GroupVersionKind, v *view, c change) {
	if c.new != nil {
		v.objects[client.ObjectKeyFromObject(c.new)] = c.new
	} else {
		delete(v.objects, client.ObjectKeyFromObject(c.old))
	}
	for _, r := range s.loops {
		for _, w := range r.loop.Watches {
			if kind, _ := s.store.gvk(w.Kind); kind == gvk {
				s.tell(r, w, c)
			}
		}
	}
}

// reconcile runs one key of one loop.
func (s *Sim) reconcile(r *running) {
	i := s.rand.IntN(len(r.queue))
	req := r.queue[i]
	r.queue = slices.Delete(r.queue, i, i+1)
	delete(r.timers, req)
	s.handed = map[client.Object]client.Object{}
	result, err, died := s.call(r, req)
	if died {
		s.startLoops()
		return
	}
	if bad := s.mutated(); bad != nil {
		s.fail(fmt.Errorf("%s: %w", r.loop.Name, bad)) //nolint:errcheck // noted in s
	}
	switch {
	case err != nil:
		s.log("%s: %s failed: %v", r.loop.Name, req, err)
		r.retries[req]++
		r.later(req, s.clock.Now().Add(min(5*time.Millisecond<<min(r.retries[req], 20), 30*time.Second)))
	case result.RequeueAfter > 0:
		delete(r.retries, req)
		r.later(req, s.clock.Now().Add(result.RequeueAfter))
	default:
		delete(r.retries, req)
	}
}

func (r *running) later(req reconcile.Request, at time.Time) {
	if known, ok := r.timers[req]; !ok || at.Before(known) {
		r.timers[req] = at
	}
}

func (s *Sim) call(r *running, req reconcile.Request) (result reconcile.Result, err error, died bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crashed); !ok {
				panic(p)
			}
			died = true
		}
	}()
	result, err = r.rec.Reconcile(s.ctx, req)
	return result, err, false
}
