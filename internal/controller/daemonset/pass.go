package daemonset

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/daemonset"
)

// pass is one reconcile of one set.
type pass struct {
	*reconciler
	write    loop.Writer
	key      types.NamespacedName
	set      *appsv1.DaemonSet
	selector labels.Selector
	owner    *owned.Owner

	pods      []*corev1.Pod
	revisions []*appsv1.ControllerRevision // oldest first
	update    *appsv1.ControllerRevision
}

// run cuts the history and writes the status also when an action failed. A
// failed action is no error of the loop: its event tells of it, and how long to
// wait for the next attempt is decided here.
func (p *pass) run(ctx context.Context) (reconcile.Result, error) {
	p.owner = owned.New(p.env, p.write, p.set, kind)
	if changed, err := p.gatherRevisions(ctx); err != nil || changed {
		return reconcile.Result{}, err // the event of that wakes us
	}
	if changed, err := p.gatherPods(ctx); err != nil || changed {
		return reconcile.Result{}, err // so does this one
	}
	if ok, err := p.settleRevisions(ctx); err != nil || !ok {
		return reconcile.Result{}, err
	}
	nodes, err := loop.List[*corev1.Node](ctx, p.env.Cache, &corev1.NodeList{})
	if err != nil {
		return reconcile.Result{}, err
	}
	facts := plan.Facts{
		Set: p.set, Nodes: nodes, Pods: p.pods, Hash: p.update.Labels[plan.HashLabel],
		Backoff: p.memory.of(p.set).backoff, Now: p.env.Clock.Now(),
	}
	decided := plan.Decide(facts)
	if len(decided.Create) > 0 { // a node must not get two
		if settled, err := p.doubts.Settled(ctx, p.key, p.owner, p.selector, p.pods); err != nil || !settled {
			return reconcile.Result{RequeueAfter: loop.Lost}, err
		}
	}
	wait := p.act(ctx, decided)
	err = errors.Join(p.cutHistory(ctx), p.store(ctx, plan.Status(facts)))
	p.memory.change(p.set, func(r *remembered) {
		r.ended, r.pods, r.idle = p.env.Clock.Now(), len(p.pods), len(decided.Create) == 0 && len(decided.Delete) == 0
	})
	return reconcile.Result{RequeueAfter: loop.Sooner(decided.Again, wait)}, err
}

// store writes the status if it says something new.
func (p *pass) store(ctx context.Context, status appsv1.DaemonSetStatus) error {
	if equality.Semantic.DeepEqual(p.set.Status, status) {
		return nil
	}
	set := p.set.DeepCopy()
	set.Status = status
	return client.IgnoreNotFound(p.write.Status().Update(ctx, set))
}

// act carries a plan out, unless an earlier failure is still waited out, and
// returns how long to wait then.
func (p *pass) act(ctx context.Context, decided plan.Plan) time.Duration {
	if len(decided.Create) == 0 && len(decided.Delete) == 0 {
		p.patience.Forget(p.key)
		return 0
	}
	if left := p.patience.Left(p.key, p.set.Generation); left > 0 {
		return left
	}
	p.memory.change(p.set, func(r *remembered) { r.backoff = decided.Backoff })
	for _, e := range decided.Events {
		p.env.Events.Event(p.set, e.Type, e.Reason, e.Message)
	}
	made := loop.SlowStart(len(decided.Create), p.env.Parallel, func(i int) error { return p.create(ctx, decided.Create[i]) })
	if made != nil && !loop.NamespaceEnds(made) {
		p.doubts.Failed(p.key)
	}
	gone := loop.Each(len(decided.Delete), p.env.Parallel, func(i int) error { return p.delete(ctx, decided.Delete[i]) })
	if made != nil || gone != nil {
		wait := p.patience.Failed(p.key, p.set.Generation)
		if loop.NamespaceEnds(made) {
			return 0
		}
		return wait
	}
	p.patience.Forget(p.key)
	return 0
}

func (p *pass) create(ctx context.Context, node string) error {
	pod := plan.NewPod(p.set, node, p.update.Labels[plan.HashLabel], p.owner.Ref())
	err := p.write.Create(ctx, pod)
	switch {
	case err == nil:
		p.env.Events.Event(p.set, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: "+pod.Name)
	case loop.NamespaceEnds(err): // not worth a word
	default:
		p.env.Events.Event(p.set, corev1.EventTypeWarning, "FailedCreate", "Error creating: "+err.Error())
	}
	return err
}

func (p *pass) delete(ctx context.Context, pod *corev1.Pod) error {
	gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
	err := client.IgnoreNotFound(p.write.Delete(ctx, gone, client.Preconditions{UID: &pod.UID}))
	if err != nil {
		p.env.Events.Event(p.set, corev1.EventTypeWarning, "FailedDelete", "Error deleting: "+err.Error())
		return err
	}
	p.env.Events.Event(p.set, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: "+pod.Name)
	return nil
}
