// Package scheduler gives every waiting pod a node. plan/schedule decides;
// this loop keeps its picture of the cluster up to date change by change, remembers what
// it has given away until the cache shows it, settles claims that wait for
// their first consumer, binds, and sends less important pods away where that is
// the only way.
//
// A pod that fits nowhere rests until a change that can help it: each filter
// that refused it says which those are.
package scheduler

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/controller/volumeindex"
	"berth.dev/berth/internal/plan/schedule"
)

// Name is the scheduler's name in events and in spec.schedulerName.
const Name = corev1.DefaultSchedulerName

// Profiles are the values of spec.schedulerName that this scheduler serves.
type Profiles map[string]schedule.Profile

// workers are how many pods are written about at once; decisions are made one
// after the other.
const workers = 16

// Loop returns the scheduler; the default name is always served.
func Loop(profiles Profiles) loop.Loop {
	all := Profiles{Name: {}}
	for name, p := range profiles {
		all[name] = p
	}
	p := &picture{}
	return loop.Loop{
		Name:    "scheduler",
		Source:  Name,
		User:    "system:kube-scheduler",
		Workers: workers,
		Watches: p.watches(),
		Indexes: []loop.Index{podindex.ByNode(), podindex.ByClaim(), volumeindex.ByHolder(), attachedTo()},
		New: func(env loop.Env) reconcile.Reconciler {
			s := &scheduler{
				env: env, profiles: all, cluster: schedule.Empty(), queue: newQueue(),
				assumed: map[types.UID]*assumption{}, seen: map[types.UID]uint64{},
			}
			p.show(s)
			return s
		},
	}
}

type scheduler struct {
	env      loop.Env
	profiles Profiles

	// mu guards all below: one change or one decision at a time; reading about
	// volumes and all writing happen outside of it.
	mu      sync.Mutex
	cluster *schedule.Cluster
	queue   *queue
	// assumed are pods with the node they were given, as long as the cache
	// does not show it.
	assumed map[types.UID]*assumption
	// seen is the newest version of each pod that was taken into the picture.
	seen   map[types.UID]uint64
	filled bool
	timer  timer
}

// assumption is a pod on the node it was given.
type assumption struct {
	pod *corev1.Pod
	// binding says that the node is final: it is being written, or it is.
	binding bool
}

// timer is the one request that comes back when the next rest ends.
type timer struct {
	key reconcile.Request
	at  time.Time
}

// Reconcile serves pods in the order of their priority until none is left that
// waits; which pod it was called for does not matter. What cannot be written is
// tried again when the pod's own wait is over: an error of one must not keep the
// others waiting.
func (s *scheduler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if err := s.fill(ctx); err != nil {
		return reconcile.Result{}, err
	}
	for ctx.Err() == nil {
		w, pod := s.next()
		if w == nil {
			break
		}
		s.serve(ctx, w, pod)
	}
	return s.comeBack(req), ctx.Err()
}

// fill takes the whole cache into the picture once: the changes that were to
// tell of it may still be on their way when the first pod is decided.
func (s *scheduler) fill(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled {
		return nil
	}
	namespaces, err := loop.List[*corev1.Namespace](ctx, s.env.Cache, &corev1.NamespaceList{})
	if err != nil {
		return err
	}
	nodes, err := loop.List[*corev1.Node](ctx, s.env.Cache, &corev1.NodeList{})
	if err != nil {
		return err
	}
	pods, err := loop.List[*corev1.Pod](ctx, s.env.Cache, &corev1.PodList{})
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		s.cluster.SetNamespace(ns)
	}
	for _, node := range nodes {
		s.cluster.SetNode(node)
	}
	for _, pod := range pods {
		s.podIs(nil, pod)
	}
	s.filled = true
	return nil
}

// next takes the most important pod that waits.
func (s *scheduler) next() (*waiting, *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.queue.pop(s.env.Clock.Now())
	if w == nil {
		return nil, nil
	}
	return w, w.pod
}

// comeBack asks for a call when the next rest ends, unless one is under way.
func (s *scheduler) comeBack(req reconcile.Request) reconcile.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer.key == req {
		s.timer = timer{}
	}
	at, any := s.queue.wakes()
	if !any || !s.timer.at.IsZero() && !s.timer.at.After(at) {
		return reconcile.Result{}
	}
	s.timer = timer{key: req, at: at}
	return reconcile.Result{RequeueAfter: max(at.Sub(s.env.Clock.Now()), time.Millisecond)}
}

// mine says that the pod waits for this scheduler.
func (s *scheduler) mine(pod *corev1.Pod) bool {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || !schedule.Active(pod) || len(pod.Spec.SchedulingGates) > 0 {
		return false
	}
	_, served := s.profiles[s.profileOf(pod)]
	return served
}

func (s *scheduler) profileOf(pod *corev1.Pod) string {
	if pod.Spec.SchedulerName == "" {
		return Name
	}
	return pod.Spec.SchedulerName
}
