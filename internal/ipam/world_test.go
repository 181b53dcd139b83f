package ipam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// fatal is the part of testing.TB and rapid.T that the world needs.
type fatal interface {
	Helper()
	Fatalf(string, ...any)
}

// world is an API server of one process: a log of changes, a cache that has
// seen a part of it, and the loop under test.
type world struct {
	t       fatal
	log     []loop.Event
	version int
	live    store
	cached  store
	seen    int            // how much of log the cache shows
	broken  func() error   // before a write
	after   func() error   // after it took effect
	writes  map[string]int // verb and kind
	events  []string
	clock   *clocktesting.FakePassiveClock
	loop    loop.Loop
	rec     reconcile.Reconciler
	queue   []reconcile.Request
	timers  map[reconcile.Request]time.Time
}

type objectKey struct {
	kind reflect.Type
	types.NamespacedName
}

type store map[objectKey]client.Object

func keyOf(o client.Object) objectKey {
	return objectKey{reflect.TypeOf(o), client.ObjectKeyFromObject(o)}
}

func newWorld(t fatal, cidrs ...string) *world {
	t.Helper()
	var config Config
	for _, c := range cidrs {
		config.ClusterCIDRs = append(config.ClusterCIDRs, netip.MustParsePrefix(c))
	}
	l, err := Loop(config)
	if err != nil {
		t.Fatalf("loop: %v", err)
	}
	w := &world{
		t: t, live: store{}, cached: store{}, writes: map[string]int{}, loop: l,
		clock: clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0)),
	}
	w.start()
	w.add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	return w
}

// start is a process start: the cache has all, every object is an add event.
func (w *world) start() {
	w.queue, w.timers = nil, map[reconcile.Request]time.Time{}
	w.cached, w.seen = store{}, len(w.log)
	w.rec = w.loop.New(loop.Env{
		Cache: w.cached, Live: w.live, Write: writer{w}, Events: recorder{w},
		Clock: clock.PassiveClock(w.clock), Parallel: 1, Horizon: horizon{w},
	})
	for k, o := range w.live {
		w.cached[k] = o
	}
	for _, o := range w.live.sorted() {
		w.wake(loop.Event{New: o})
	}
}

// sorted makes a failing seed reproducible.
func (s store) sorted() []client.Object {
	return slices.SortedFunc(maps.Values(s), func(a, b client.Object) int {
		x, y := loop.Version(a.GetResourceVersion()), loop.Version(b.GetResourceVersion())
		return cmp.Compare(x, y)
	})
}

func (w *world) wake(ev loop.Event) {
	for _, watch := range w.loop.Watches {
		if reflect.TypeOf(watch.Kind) == reflect.TypeOf(ev.Object()) && watch.Map != nil {
			for _, req := range watch.Map(context.Background(), w.cached, ev) {
				if !slices.Contains(w.queue, req) {
					w.queue = append(w.queue, req)
				}
			}
		}
	}
}

// see lets the cache follow by n events.
func (w *world) see(n int) {
	for ; n > 0 && w.seen < len(w.log); n-- {
		ev := w.log[w.seen]
		w.seen++
		if ev.New == nil {
			delete(w.cached, keyOf(ev.Old))
		} else {
			w.cached[keyOf(ev.New)] = ev.New
		}
		w.wake(ev)
	}
}

// step reconciles one key.
func (w *world) step() bool {
	if len(w.queue) == 0 {
		return false
	}
	req := w.queue[0]
	w.queue = w.queue[1:]
	res, err := w.rec.Reconcile(context.Background(), req)
	if err != nil {
		w.queue = append(w.queue, req)
	} else if res.RequeueAfter > 0 {
		at := w.clock.Now().Add(res.RequeueAfter)
		if old, ok := w.timers[req]; !ok || at.Before(old) {
			w.timers[req] = at
		}
	}
	return true
}

// settle runs until nothing is left to do now.
func (w *world) settle() {
	w.t.Helper()
	for range 100_000 {
		w.see(len(w.log))
		if !w.step() {
			return
		}
	}
	w.t.Fatalf("does not settle: %v", w.queue)
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.clock.SetTime(w.clock.Now().Add(d))
	for req, at := range w.timers {
		if !at.After(w.clock.Now()) {
			delete(w.timers, req)
			if !slices.Contains(w.queue, req) {
				w.queue = append(w.queue, req)
			}
		}
	}
	w.settle()
}

func (w *world) change(old, obj client.Object) {
	w.version++
	if obj == nil {
		delete(w.live, keyOf(old))
	} else {
		obj.SetResourceVersion(fmt.Sprint(w.version))
		w.live[keyOf(obj)] = obj
	}
	w.log = append(w.log, loop.Event{Old: old, New: obj})
}

// add, edit and remove are what users and other components do.
func (w *world) add(o client.Object) {
	w.t.Helper()
	if w.live[keyOf(o)] != nil {
		w.t.Fatalf("%s exists", o.GetName())
	}
	o.SetUID(types.UID(fmt.Sprint("uid-", w.version+1)))
	o.SetCreationTimestamp(metav1.NewTime(w.clock.Now()))
	w.change(nil, o)
}

func (w *world) edit(o client.Object, f func(client.Object)) {
	old := w.live[keyOf(o)]
	o = old.DeepCopyObject().(client.Object)
	f(o)
	w.change(old, o)
}

func (w *world) remove(o client.Object) {
	if old := w.live[keyOf(o)]; old != nil {
		w.change(old, nil)
	}
}

func (s store) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	o, ok := s[objectKey{reflect.TypeOf(into), key}]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(o.DeepCopyObject()).Elem())
	return nil
}

func (s store) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	items := reflect.ValueOf(into).Elem().FieldByName("Items")
	for _, o := range s.sorted() {
		if reflect.TypeOf(o).Elem() == items.Type().Elem() {
			items.Set(reflect.Append(items, reflect.ValueOf(o.DeepCopyObject()).Elem()))
		}
	}
	return nil
}

type horizon struct{ w *world }

func (h horizon) Seen(client.Object) uint64 {
	var newest uint64
	for _, ev := range h.w.log[:h.w.seen] {
		if ev.New != nil {
			newest = max(newest, loop.Version(ev.New.GetResourceVersion()))
		}
	}
	return newest
}

type recorder struct{ w *world }

func (r recorder) Event(about runtime.Object, _, reason, message string) {
	r.w.events = append(r.w.events, about.(client.Object).GetName()+" "+reason+": "+message)
}

// writer checks preconditions as the API server does.
type writer struct{ w *world }

var errRefused = errors.New("refused by the test")

func (x writer) try(verb string, o client.Object) error {
	if x.w.broken != nil {
		if err := x.w.broken(); err != nil {
			return err
		}
	}
	x.w.writes[verb+" "+strings.TrimPrefix(reflect.TypeOf(o).Elem().Name(), "Spider")]++
	return nil
}

func (x writer) done() error {
	if x.w.after != nil {
		return x.w.after()
	}
	return nil
}

func (x writer) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	if err := x.try("create", o); err != nil {
		return err
	}
	if x.w.live[keyOf(o)] != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{}, o.GetName())
	}
	x.w.add(o.DeepCopyObject().(client.Object))
	o.SetResourceVersion(fmt.Sprint(x.w.version))
	return x.done()
}

func (x writer) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	if err := x.try("update", o); err != nil {
		return err
	}
	old := x.w.live[keyOf(o)]
	if old == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, o.GetName())
	}
	if old.GetResourceVersion() != o.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{}, o.GetName(), errRefused)
	}
	x.w.change(old, o.DeepCopyObject().(client.Object))
	o.SetResourceVersion(fmt.Sprint(x.w.version))
	return x.done()
}

func (x writer) Delete(_ context.Context, o client.Object, _ ...client.DeleteOption) error {
	if err := x.try("delete", o); err != nil {
		return err
	}
	old := x.w.live[keyOf(o)]
	if old == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, o.GetName())
	}
	x.w.change(old, nil)
	return x.done()
}

func (writer) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return errRefused
}

func (writer) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return errRefused
}

func (writer) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return errRefused
}

func (x writer) Status() client.SubResourceWriter { return statusWriter{x} }

func (writer) SubResource(string) client.SubResourceClient { return nil }

type statusWriter struct{ writer }

func (s statusWriter) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return errRefused
}

func (s statusWriter) Update(ctx context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	return s.writer.Update(ctx, o)
}

func (s statusWriter) Patch(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
	return errRefused
}

func (s statusWriter) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return errRefused
}

// What tests say about objects.

func set(name string, replicas int32) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To(replicas)},
	}
}

func scale(replicas int32) func(client.Object) {
	return func(o client.Object) { o.(*appsv1.StatefulSet).Spec.Replicas = ptr.To(replicas) }
}

// podOf is a bound pod; owner may be nil.
func podOf(owner *appsv1.StatefulSet, name string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	if owner != nil {
		p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	}
	return p
}

func (w *world) endpoint(name string) *spiderpoolv2beta1.SpiderEndpoint {
	e, _ := w.live[objectKey{reflect.TypeFor[*spiderpoolv2beta1.SpiderEndpoint](), types.NamespacedName{Namespace: "default", Name: name}}].(*spiderpoolv2beta1.SpiderEndpoint)
	return e
}

func (w *world) ip(name string) string {
	if e := w.endpoint(name); e != nil && len(e.Status.Current.IPs) > 0 {
		return e.Status.Current.IPs[0].IPv4
	}
	return ""
}

func (w *world) poolStatus(name string) spiderpoolv2beta1.IPPoolStatus {
	p := w.live[objectKey{reflect.TypeFor[*spiderpoolv2beta1.SpiderIPPool](), types.NamespacedName{Name: name}}].(*spiderpoolv2beta1.SpiderIPPool)
	return p.Status
}
