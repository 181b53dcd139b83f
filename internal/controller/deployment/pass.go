package deployment

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/owned"
	plan "berth.dev/berth/internal/plan/deployment"
)

// pass is one reconcile of one Deployment.
type pass struct {
	*reconciler
	write    loop.Writer
	key      types.NamespacedName
	selector labels.Selector
	owner    *owned.Owner
	facts    plan.Facts // the sets in it follow our own writes

	outcome plan.Outcome
	wait    time.Duration // for the next attempt to create a set
}

// run writes the status also when an action failed.
func (p *pass) run(ctx context.Context) (reconcile.Result, error) {
	if changed, err := p.gather(ctx); err != nil || changed {
		return reconcile.Result{}, err // adopted or released: the event of that wakes us
	}
	generation := p.facts.Deployment.Generation
	decided := plan.Decide(plan.Observe(p.facts))
	failed := p.apply(ctx, decided)
	if p.facts.Deployment.Generation != generation {
		return reconcile.Result{}, failed // rolled back: what that means is for the next pass
	}
	status, again := plan.Status(p.facts, decided, p.outcome)
	return reconcile.Result{RequeueAfter: loop.Sooner(again, p.wait)}, errors.Join(failed, p.writeStatus(ctx, status))
}

// gather collects the sets; orphans that match are adopted. Pods matter only
// where old ones have to end before new ones come.
func (p *pass) gather(ctx context.Context) (changed bool, err error) {
	mine, orphans, err := owned.List(ctx, p.owner, &appsv1.ReplicaSetList{}, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
	if err != nil {
		return false, err
	}
	p.facts.Sets, changed, err = owned.Claim(ctx, p.owner, "ReplicaSet", mine, orphans, func(rs *appsv1.ReplicaSet) bool {
		return p.selector.Matches(labels.Set(rs.Labels))
	})
	if err != nil || changed || p.facts.Deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return changed, err
	}
	p.facts.Pods = map[types.UID][]*corev1.Pod{}
	for _, rs := range p.facts.Sets {
		var pods corev1.PodList
		if err := p.env.Cache.List(ctx, &pods, client.InNamespace(rs.Namespace), client.MatchingFields{loop.OwnerUID: string(rs.UID)}); err != nil {
			return false, err
		}
		for i := range pods.Items {
			p.facts.Pods[rs.UID] = append(p.facts.Pods[rs.UID], &pods.Items[i])
		}
	}
	return false, nil
}

// writeStatus stores the status when it says something new, and with it the
// revision: an annotation that is written so makes no new generation.
func (p *pass) writeStatus(ctx context.Context, status appsv1.DeploymentStatus) error {
	old, revision := p.facts.Deployment, p.facts.Revision()
	named := revision != "" && old.DeletionTimestamp == nil && old.Annotations[plan.RevisionAnnotation] != revision
	if !named && equality.Semantic.DeepEqual(old.Status, status) {
		return nil
	}
	next := old.DeepCopy()
	next.Status = status
	if named {
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[plan.RevisionAnnotation] = revision
	}
	return client.IgnoreNotFound(p.write.Status().Update(ctx, next))
}
