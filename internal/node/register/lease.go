package register

import (
	"context"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/apimachinery/lease"
)

// lease renews the node's lease, from which the control plane sees it alive.
func (r *Registration) lease(ctx context.Context) {
	owned := func(l *coordinationv1.Lease) error {
		if node := r.Node(); node != nil && len(l.OwnerReferences) == 0 {
			l.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID,
			}}
		}
		return nil
	}
	client := r.cfg.Client
	if r.cfg.Renewals != nil {
		p := &promising{Interface: client, renewals: r.cfg.Renewals}
		client = p
		var more sync.WaitGroup
		defer more.Wait()
		more.Go(func() { r.renewOnDemand(ctx, p) })
	}
	// A lease that was not renewed may mean a broken connection: look at once.
	lease.NewController(r.cfg.Clock, client, r.cfg.Name, leaseSeconds, r.Trigger, leaseInterval,
		r.cfg.Name, corev1.NamespaceNodeLease, owned).Run(ctx)
}

// Renew renews the lease at once, for example because it is to promise more.
func (r *Registration) Renew() {
	select {
	case r.renew <- struct{}{}:
	default:
	}
}

func (r *Registration) renewOnDemand(ctx context.Context, p *promising) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.renew:
		}
		if err := p.again(ctx, metav1.NewMicroTime(r.cfg.Clock.Now())); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("cannot renew this node's lease at once, it is renewed soon", "node", r.cfg.Name, "error", err)
		}
	}
}
