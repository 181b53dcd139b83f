// Package scheduler gives every waiting pod a node. plan/schedule decides;
// this loop observes, remembers what it has given away until the cache shows
// it, settles claims that wait for their first consumer, and binds.
//
// A pod that fits nowhere rests until an event that can help: a node that
// changes, a pod that leaves, a volume, claim or class that appears.
package scheduler

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	"berth.dev/berth/internal/plan/schedule"
)

// Name is the scheduler's name in events and in spec.schedulerName.
const Name = corev1.DefaultSchedulerName

// Loop returns the scheduler.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "scheduler",
		Source:  Name,
		User:    "system:kube-scheduler",
		Workers: 4,
		Watches: watches(),
		Indexes: []loop.Index{podindex.ByNode(), podindex.ByClaim(), podindex.Unscheduled()},
		New: func(env loop.Env) reconcile.Reconciler {
			return &scheduler{env: env, assumed: map[types.UID]*assumption{}, weights: weights{}}
		},
	}
}

type scheduler struct {
	env loop.Env

	// deciding makes one decision at a time; binding happens outside of it.
	deciding sync.Mutex
	// assumed are pods with the node they were given, as long as the cache
	// does not show it.
	assumed map[types.UID]*assumption
	// weights spares weighing every pod of the cluster for each decision.
	weights weights
}

// assumption is a pod on the node it was given.
type assumption struct {
	pod *corev1.Pod
	// bound says that the API server knows it too.
	bound bool
}

// Reconcile moves one pod one step towards its node.
func (s *scheduler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := s.env.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	if !mine(pod) {
		return reconcile.Result{}, nil
	}
	decision, err := s.decide(ctx, pod)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case decision == nil:
		return reconcile.Result{}, nil
	case decision.Node == "":
		return reconcile.Result{}, s.refuse(ctx, pod, decision.Message)
	case len(decision.Claims) > 0:
		if err = s.settle(ctx, decision); err != nil {
			s.forget(pod.UID)
		}
	default:
		err = s.bind(ctx, pod, decision.Node)
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

// mine says that the pod waits for this scheduler.
func mine(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && schedule.Active(pod) &&
		len(pod.Spec.SchedulingGates) == 0 &&
		(pod.Spec.SchedulerName == Name || pod.Spec.SchedulerName == "")
}

// decide observes and decides under one lock, and assumes the outcome, so that
// two pods never get the same room. nil means that the pod has its node and
// only the cache does not know.
func (s *scheduler) decide(ctx context.Context, pod *corev1.Pod) (*schedule.Decision, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if err := s.dropSettled(ctx); err != nil {
		return nil, err
	}
	if a := s.assumed[pod.UID]; a != nil && a.bound {
		return nil, nil
	}
	state, err := s.observe(ctx, pod)
	if err != nil {
		return nil, err
	}
	decision := schedule.Decide(state)
	if decision.Node == "" {
		delete(s.assumed, pod.UID)
		return &decision, nil
	}
	given := pod.DeepCopy()
	given.Spec.NodeName = decision.Node
	s.assumed[pod.UID] = &assumption{pod: given}
	return &decision, nil
}

// dropSettled forgets assumptions that the cache has caught up with.
func (s *scheduler) dropSettled(ctx context.Context) error {
	for uid, a := range s.assumed {
		now := &corev1.Pod{}
		err := s.env.Cache.Get(ctx, client.ObjectKeyFromObject(a.pod), now)
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err != nil || now.UID != uid || now.Spec.NodeName != "" || !mine(now) {
			delete(s.assumed, uid)
		}
	}
	return nil
}

func (s *scheduler) rememberBound(uid types.UID) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if a := s.assumed[uid]; a != nil {
		a.bound = true
	}
}

func (s *scheduler) forget(uid types.UID) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	delete(s.assumed, uid)
}
