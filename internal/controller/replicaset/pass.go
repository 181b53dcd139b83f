package replicaset

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	"berth.dev/berth/internal/plan/podready"
	plan "berth.dev/berth/internal/plan/replicaset"
)

// pass is one reconcile of one set.
type pass struct {
	*reconciler
	write    loop.Writer
	key      types.NamespacedName
	obj      client.Object
	set      *appsv1.ReplicaSet // obj, as a ReplicaSet
	selector labels.Selector
	owner    *owned.Owner
}

// run writes the status also when an action failed. A failed action is no error
// of the loop: the condition and the event tell of it, and how long to wait for
// the next attempt is decided here, not by how often events come.
func (p *pass) run(ctx context.Context) (reconcile.Result, error) {
	p.owner = owned.New(p.env, p.write, p.obj, p.kind.gvk)
	pods, changed, err := p.pods(ctx)
	if err != nil || changed {
		return reconcile.Result{}, err // adopted or released: the event of that wakes us
	}
	facts := plan.Facts{Set: p.set, Pods: pods, Now: p.env.Clock.Now()}
	if facts.Related, err = p.related(ctx, pods); err != nil {
		return reconcile.Result{}, err
	}
	decided := plan.Decide(facts)
	outcome, wait := p.act(ctx, decided)
	status := plan.Status(facts, decided, outcome)
	result := reconcile.Result{RequeueAfter: loop.Sooner(decided.Again, wait)}
	next := p.kind.withStatus(p.obj, status)
	now := p.kind.set(next).Status // as the kind stores it
	if !plan.StatusChanged(&p.set.Status, &now) {
		return result, nil
	}
	return result, client.IgnoreNotFound(p.write.Status().Update(ctx, next))
}

// act carries a plan out, unless an earlier failure is still waited out.
func (p *pass) act(ctx context.Context, decided plan.Plan) (plan.Outcome, time.Duration) {
	if decided.Create == 0 && len(decided.Delete) == 0 {
		p.patience.Forget(p.key)
		return plan.Outcome{}, 0
	}
	if left := p.patience.Left(p.key, p.set.Generation); left > 0 {
		return plan.Outcome{Waiting: true}, left
	}
	err := loop.SlowStart(decided.Create, p.env.Parallel, func(int) error { return p.create(ctx) })
	if err == nil {
		err = loop.Each(len(decided.Delete), p.env.Parallel, func(i int) error { return p.delete(ctx, decided.Delete[i]) })
	}
	if err != nil {
		wait := p.patience.Failed(p.key, p.set.Generation)
		if loop.NamespaceEnds(err) {
			return plan.Outcome{Waiting: true}, 0
		}
		return plan.Outcome{Failure: err.Error()}, wait
	}
	p.patience.Forget(p.key)
	return plan.Outcome{}, 0
}

func (p *pass) create(ctx context.Context) error {
	pod := plan.NewPod(p.set, p.owner.Ref())
	err := p.write.Create(ctx, pod)
	switch {
	case err == nil:
		p.env.Events.Event(p.obj, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: "+pod.Name)
	case loop.NamespaceEnds(err): // not worth a word
	default:
		p.env.Events.Event(p.obj, corev1.EventTypeWarning, plan.FailedCreate, "Error creating: "+err.Error())
	}
	return err
}

func (p *pass) delete(ctx context.Context, pod *corev1.Pod) error {
	gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
	err := client.IgnoreNotFound(p.write.Delete(ctx, gone, client.Preconditions{UID: &pod.UID}))
	if err != nil {
		p.env.Events.Event(p.obj, corev1.EventTypeWarning, plan.FailedDelete, "Error deleting: "+err.Error())
		return err
	}
	p.env.Events.Event(p.obj, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: "+pod.Name)
	return nil
}

// pods are the set's own. Orphans that it selects are adopted while they run.
func (p *pass) pods(ctx context.Context) ([]*corev1.Pod, bool, error) {
	mine, orphans, err := p.list(ctx, p.owner)
	if err != nil {
		return nil, false, err
	}
	return owned.Claim(ctx, p.owner, "Pod", mine, orphans, func(pod *corev1.Pod) bool {
		return p.selector.Matches(labels.Set(pod.Labels)) && (metav1.GetControllerOfNoCopy(pod) != nil || podready.Active(pod))
	})
}

func (p *pass) list(ctx context.Context, owner *owned.Owner) (mine, orphans []*corev1.Pod, err error) {
	return owned.List(ctx, owner, &corev1.PodList{}, func(l *corev1.PodList) []corev1.Pod { return l.Items })
}

// related are the pods of all sets that the set's own owner has.
func (p *pass) related(ctx context.Context, own []*corev1.Pod) ([]*corev1.Pod, error) {
	owner := metav1.GetControllerOfNoCopy(p.set)
	if owner == nil || !p.kind.deployed {
		return own, nil
	}
	var siblings appsv1.ReplicaSetList
	if err := p.env.Cache.List(ctx, &siblings, client.InNamespace(p.set.Namespace), client.MatchingFields{loop.OwnerUID: string(owner.UID)}); err != nil {
		return nil, err
	}
	all := own
	for i := range siblings.Items {
		if siblings.Items[i].UID == p.set.UID {
			continue
		}
		var pods corev1.PodList
		if err := p.env.Cache.List(ctx, &pods, client.InNamespace(p.set.Namespace), client.MatchingFields{loop.OwnerUID: string(siblings.Items[i].UID)}); err != nil {
			return nil, err
		}
		for j := range pods.Items {
			all = append(all, &pods.Items[j])
		}
	}
	return all, nil
}
