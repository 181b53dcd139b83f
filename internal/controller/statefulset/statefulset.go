// Package statefulset is the StatefulSet loop: it reads a set with its pods,
// claims and revisions from the cache, asks plan/statefulset what to do, and
// does it.
package statefulset

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// User is the loop's identity.
const User = "system:serviceaccount:kube-system:statefulset-controller"

// workers is how many sets are reconciled at once.
const workers = 8

// Loop declares the loop with production's rules.
func Loop() loop.Loop { return LoopWith(plan.Production) }

// LoopWith declares the loop with other rules.
func LoopWith(rules plan.Rules) loop.Loop {
	return loop.Loop{
		Name:    "statefulset",
		User:    User,
		Workers: workers,
		Watches: watches(),
		Indexes: indexes(),
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), rules: rules, pace: &pace{sets: map[types.NamespacedName]paced{}}, patience: newPatience(env.Clock)}
		},
	}
}

type reconciler struct {
	env   loop.Env
	own   *loop.OwnWrites
	rules plan.Rules
	pace  *pace

	patience *patience
}

// Reconcile brings one set a step closer to what is wanted.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	set := &appsv1.StatefulSet{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, set); err != nil {
		r.pace.forget(req.NamespacedName)
		r.patience.forget(req.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if rest := r.pace.rest(set, req.NamespacedName, r.env.Clock.Now()); rest > 0 {
		return reconcile.Result{RequeueAfter: rest}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || selector.Empty() {
		return reconcile.Result{}, nil // the API accepts no such set; upstream drops it too
	}
	write := r.own.Writer(req.NamespacedName)
	s := &pass{
		env: r.env, write: write, rules: r.rules, set: set, selector: selector, pace: r.pace, patience: r.patience,
		owner: owned.New(r.env, write, set, appsv1.SchemeGroupVersion.WithKind("StatefulSet")),
	}
	result, err := s.run(ctx)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("StatefulSet %s: %w", req, err)
	}
	return result, nil
}

// run is one pass over one set. The status is written and history cut also when
// the actions failed.
func (s *pass) run(ctx context.Context) (reconcile.Result, error) {
	if err := s.gatherRevisions(ctx); err != nil {
		return reconcile.Result{}, err
	}
	if changed, err := s.gatherPods(ctx); err != nil || changed {
		return reconcile.Result{}, err // adopted or released: the event of that wakes us
	}
	if err := s.settleRevisions(ctx); err != nil {
		return reconcile.Result{}, err
	}
	var err error
	if s.facts, err = s.gatherFacts(ctx); err != nil {
		return reconcile.Result{}, err
	}
	s.state = plan.Observe(s.facts)
	decided := plan.Decide(s.state, s.rules)
	status, again := s.status(decided)

	// A new generation is acknowledged before anything is done about it: who
	// waits for it sees at once which revision it became.
	early := s.set.Status.ObservedGeneration != s.set.Generation
	if early {
		if err := s.writeStatus(ctx, status); err != nil {
			return reconcile.Result{}, err
		}
	}
	done, err := s.apply(ctx, decided)
	failed := err != nil
	if err != nil {
		status, again = s.status(done) // what could not be done is not counted
	}
	var wait tooSoon
	if errors.As(err, &wait) {
		again = loop.Sooner(again, wait.left)
		err = nil
	}
	if errors.Is(err, errRefused) {
		err = nil
	}
	errs := []error{err}
	if !early || len(done.Actions) != len(decided.Actions) {
		wait := time.Duration(0)
		if !failed {
			wait = s.mayWait(&status, len(decided.Actions) > 0)
		}
		if wait == 0 {
			errs = append(errs, s.writeStatus(ctx, status))
		}
		again = loop.Sooner(again, wait)
	}
	errs = append(errs, s.cutHistory(ctx))
	s.pace.ended(client.ObjectKeyFromObject(s.set), s.env.Clock.Now(), len(s.pods), len(decided.Actions) == 0)
	return reconcile.Result{RequeueAfter: again}, errors.Join(errs...)
}

// mayWait is how long a status may wait at most for a pass that has more to say,
// which what the set's pods do brings sooner; 0 is not at all.
func (s *pass) mayWait(status *appsv1.StatefulSetStatus, acted bool) time.Duration {
	if !s.rules.StatusWithOutcome || !plan.StatusChanged(&s.set.Status, status) || plan.MemoryChanged(&s.set.Status, status) {
		return 0
	}
	key, now := client.ObjectKeyFromObject(s.set), s.env.Clock.Now()
	if wait := s.pace.stands(s.set, status, key, now); wait > 0 {
		return wait
	}
	if acted && s.pace.mayWait(key, now) {
		return unsaidFor
	}
	return 0
}

// status is the status to publish, and when to look again although nothing has changed.
func (s *pass) status(p plan.Plan) (appsv1.StatefulSetStatus, time.Duration) {
	status, again := plan.Status(s.state, p, s.facts.Set, s.collisions, s.rules), p.Again
	if s.rules.Conditions {
		var deadline time.Duration
		status.Conditions, deadline = plan.Conditions(s.facts, s.state, p, &status)
		again = loop.Sooner(again, deadline)
	}
	return status, again
}

// writeStatus stores the status when it says something new.
func (s *pass) writeStatus(ctx context.Context, status appsv1.StatefulSetStatus) error {
	changed := plan.StatusChanged(&s.set.Status, &status)
	s.pace.said(client.ObjectKeyFromObject(s.set), s.env.Clock.Now(), changed)
	if !changed {
		return nil
	}
	set := s.set.DeepCopy()
	set.Status = status
	if err := s.write.Status().Update(ctx, set); err != nil {
		return client.IgnoreNotFound(err)
	}
	if held := plan.NewlyHeld(s.set.Status.Conditions, status.Conditions); held != nil {
		s.env.Events.Event(s.set, corev1.EventTypeWarning, string(held.Type), held.Message)
	}
	s.set = set // whatever is written to it next starts from here
	return nil
}
