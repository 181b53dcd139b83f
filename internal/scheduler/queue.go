package scheduler

import (
	"container/heap"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/schedule"
)

// waiting is a pod that has no node yet.
type waiting struct {
	pod    *corev1.Pod
	state  state
	failed schedule.Filters // what refused it
	// again says that something changed while it was being decided.
	again    bool
	order    uint64 // of arrival
	attempts int
	failures int
	tried    time.Time
	until    time.Time // it rests no longer than until then
	at       int       // in its heap
}

type state int

const (
	ready    state = iota // in the queue
	deciding              // taken out of it
	writing               // decided, and being written
	backing               // in the queue at a certain time
	resting               // until something changes
)

// queue are the pods that wait: the ready ones by priority, the ones that back
// off by time.
type queue struct {
	all map[types.UID]*waiting
	// idle are those that are not in the queue, by whose claims they wait for too.
	idle   map[types.UID]*waiting
	claims map[types.NamespacedName]map[types.UID]*waiting
	ready  pile
	later  pile
	serial uint64
}

func newQueue() *queue {
	return &queue{
		all: map[types.UID]*waiting{}, idle: map[types.UID]*waiting{}, claims: map[types.NamespacedName]map[types.UID]*waiting{},
		ready: pile{before: moreUrgent},
		later: pile{before: func(a, b *waiting) bool { return a.until.Before(b.until) }},
	}
}

// moreUrgent is upstream's order: by priority, then by arrival.
func moreUrgent(a, b *waiting) bool {
	if x, y := schedule.Priority(a.pod), schedule.Priority(b.pod); x != y {
		return x > y
	}
	return a.order < b.order
}

// add notes a pod that has to be decided.
func (q *queue) add(pod *corev1.Pod) {
	w := q.all[pod.UID]
	if w == nil {
		q.serial++
		w = &waiting{pod: pod, order: q.serial, state: resting}
		q.all[pod.UID] = w
		for _, claim := range claimsOf(pod) {
			if q.claims[claim] == nil {
				q.claims[claim] = map[types.UID]*waiting{}
			}
			q.claims[claim][pod.UID] = w
		}
	}
	w.pod = pod
	q.now(w)
}

// now makes a pod ready; one that is being decided is so once more.
func (q *queue) now(w *waiting) {
	switch w.state {
	case deciding, writing:
		w.again = true
		return
	case ready:
		heap.Fix(&q.ready, w.at)
		return
	case backing:
		heap.Remove(&q.later, w.at)
	}
	w.state = ready
	delete(q.idle, w.pod.UID)
	heap.Push(&q.ready, w)
}

// wake makes a resting pod ready, unless it was tried too recently.
func (q *queue) wake(w *waiting, now time.Time) (pushed bool) {
	switch w.state {
	case deciding, writing:
		w.again = true
		return false
	case resting:
	default:
		return false
	}
	if at := w.tried.Add(backoff(firstRest, w.attempts)); w.attempts > 1 && at.After(now) {
		q.restUntil(w, at)
	} else {
		q.now(w)
	}
	return true
}

// A pod that was refused before and could be helped by everything that happens
// is not tried again with each change.
const (
	firstRest = 50 * time.Millisecond
	maxRest   = 10 * time.Second
)

func backoff(first time.Duration, times int) time.Duration {
	return min(first<<min(max(times-1, 0), 16), maxRest)
}

func (q *queue) restUntil(w *waiting, at time.Time) {
	w.state, w.until = backing, at
	delete(q.idle, w.pod.UID)
	heap.Push(&q.later, w)
}

// rest leaves a pod alone until something helps.
func (q *queue) rest(w *waiting, now time.Time) {
	w.tried = now
	w.failures = 0
	w.attempts++
	w.state = resting
	if w.again {
		w.again = false
		q.wake(w, now)
	}
}

// pop takes the most urgent pod.
func (q *queue) pop(now time.Time) *waiting {
	for q.later.Len() > 0 && !q.later.items[0].until.After(now) {
		w := heap.Pop(&q.later).(*waiting)
		w.state = ready
		heap.Push(&q.ready, w)
	}
	if q.ready.Len() == 0 {
		return nil
	}
	w := heap.Pop(&q.ready).(*waiting)
	w.state, w.again = deciding, false
	q.idle[w.pod.UID] = w
	return w
}

// wakes is when the next pod that backs off is due; at once when one is ready.
func (q *queue) wakes() (time.Time, bool) {
	switch {
	case q.ready.Len() > 0:
		return time.Time{}.Add(1), true
	case q.later.Len() > 0:
		return q.later.items[0].until, true
	}
	return time.Time{}, false
}

// forget drops a pod that no longer waits.
func (q *queue) forget(uid types.UID) {
	w := q.all[uid]
	if w == nil {
		return
	}
	delete(q.all, uid)
	delete(q.idle, uid)
	for _, claim := range claimsOf(w.pod) {
		if delete(q.claims[claim], uid); len(q.claims[claim]) == 0 {
			delete(q.claims, claim)
		}
	}
	switch w.state {
	case ready:
		heap.Remove(&q.ready, w.at)
	case backing:
		heap.Remove(&q.later, w.at)
	}
}

// concerned are the pods outside of the queue that a change may help: those with
// that claim when it is about one, and all when it may be about any.
func (q *queue) concerned(old, changed any) map[types.UID]*waiting {
	claims, one := claimsOfChange(old, changed)
	if !one {
		return q.idle
	}
	if len(claims) == 1 {
		return q.claims[claims[0]]
	}
	all := map[types.UID]*waiting{}
	for _, claim := range claims {
		maps.Copy(all, q.claims[claim])
	}
	return all
}

// claimsOfChange are the claims that alone a change of a claim or a volume is about.
func claimsOfChange(old, changed any) (claims []types.NamespacedName, one bool) {
	for _, o := range []any{old, changed} {
		switch o := o.(type) {
		case *corev1.PersistentVolumeClaim:
			return []types.NamespacedName{{Namespace: o.Namespace, Name: o.Name}}, true
		case *corev1.PersistentVolume:
			ref := o.Spec.ClaimRef
			if ref == nil {
				return nil, false
			}
			if key := (types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}); !slices.Contains(claims, key) {
				claims = append(claims, key)
			}
		}
	}
	return claims, len(claims) > 0
}

func claimsOf(pod *corev1.Pod) []types.NamespacedName {
	var all []types.NamespacedName
	for _, name := range schedule.ClaimNames(pod) {
		all = append(all, types.NamespacedName{Namespace: pod.Namespace, Name: name})
	}
	return all
}

// pile is a heap of pods.
type pile struct {
	items  []*waiting
	before func(a, b *waiting) bool
}

func (p *pile) Len() int           { return len(p.items) }
func (p *pile) Less(i, j int) bool { return p.before(p.items[i], p.items[j]) }
func (p *pile) Swap(i, j int) {
	p.items[i], p.items[j] = p.items[j], p.items[i]
	p.items[i].at, p.items[j].at = i, j
}

func (p *pile) Push(x any) {
	w := x.(*waiting)
	w.at = len(p.items)
	p.items = append(p.items, w)
}

func (p *pile) Pop() any {
	last := len(p.items) - 1
	w := p.items[last]
	p.items[last] = nil
	p.items = p.items[:last]
	return w
}
