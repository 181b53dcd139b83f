package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/deployment"
)

// apply carries a plan out, up to the first error.
func (p *pass) apply(ctx context.Context, decided plan.Plan) error {
	for _, a := range decided.Actions {
		if err := p.act(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) act(ctx context.Context, a plan.Action) error {
	rs := p.facts.Named(a.Set)
	switch {
	case a.Verb == plan.CreateSet:
		return p.create(ctx, a.To)
	case a.Verb == plan.RollBack:
		return p.rollBack(ctx)
	case rs == nil:
		return fmt.Errorf("the plan speaks of a ReplicaSet %s that is not there", a.Set)
	case a.Verb == plan.RefreshSet:
		return p.update(ctx, plan.Refreshed(p.facts, rs))
	case a.Verb == plan.DeleteSet:
		gone := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: rs.Namespace, Name: rs.Name, UID: rs.UID}}
		return client.IgnoreNotFound(p.write.Delete(ctx, gone, client.Preconditions{UID: &rs.UID, ResourceVersion: &rs.ResourceVersion}))
	}
	if err := p.update(ctx, plan.Scaled(p.facts, rs, a.To)); err != nil {
		return err
	}
	direction := "up"
	if a.To < a.From {
		direction = "down"
	}
	if a.To != a.From {
		p.event(corev1.EventTypeNormal, "ScalingReplicaSet", fmt.Sprintf("Scaled %s replica set %s from %d to %d", direction, rs.Name, a.From, a.To))
	}
	return nil
}

func (p *pass) update(ctx context.Context, rs *appsv1.ReplicaSet) error {
	if err := p.write.Update(ctx, rs); err != nil {
		return err
	}
	p.facts = p.facts.With(rs)
	return nil
}

// create makes the set of the template. One of that name and template is as good;
// one of another template means that another hash is needed.
func (p *pass) create(ctx context.Context, replicas int) error {
	d := p.facts.Deployment
	if p.wait = p.patience.Left(p.key, d.Generation); p.wait > 0 {
		return nil
	}
	rs := plan.NewSet(p.facts, p.owner.Ref(), replicas)
	name := rs.Name
	err := p.write.Create(ctx, rs)
	switch {
	case err == nil:
		p.patience.Forget(p.key)
		p.facts, p.outcome.Created = p.facts.With(rs), name
		if replicas > 0 {
			p.event(corev1.EventTypeNormal, "ScalingReplicaSet", fmt.Sprintf("Scaled up replica set %s from 0 to %d", name, replicas))
		}
		return nil
	case apierrors.IsAlreadyExists(err):
		return p.collide(ctx, name)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return err
	}
	p.outcome.Failed, p.outcome.Error = name, err.Error()
	p.wait = p.patience.Failed(p.key, d.Generation)
	p.event(corev1.EventTypeWarning, plan.SetCreateError, plan.CreateErrorText(name, err.Error()))
	return nil
}

// collide looks at the set that has the name we wanted.
func (p *pass) collide(ctx context.Context, name string) error {
	d, there := p.facts.Deployment, &appsv1.ReplicaSet{}
	if err := p.env.Live.Get(ctx, client.ObjectKey{Namespace: d.Namespace, Name: name}, there); err != nil {
		return err
	}
	if metav1.IsControlledBy(there, d) && plan.SameTemplate(&there.Spec.Template, &d.Spec.Template) {
		p.wait = loop.Lost // it is ours: its event wakes us
		return nil
	}
	p.outcome.Collided = true
	return nil
}

// rollBack does what the annotation of older versions asks for.
func (p *pass) rollBack(ctx context.Context) error {
	next, warning, reason, message := plan.RolledBack(p.facts)
	if err := p.write.Update(ctx, next); err != nil {
		return err
	}
	kind := corev1.EventTypeNormal
	if warning {
		kind = corev1.EventTypeWarning
	}
	p.event(kind, reason, message)
	p.facts.Deployment = next
	return nil
}

func (p *pass) event(kind, reason, message string) {
	p.env.Events.Event(p.facts.Deployment, kind, reason, message)
}
