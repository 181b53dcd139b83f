package register

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/component-helpers/apimachinery/lease"

	"berth.dev/berth/internal/plan/nodeloss"
)

// Renewals gives each renewal of the lease its promise.
type Renewals func() (promise nodeloss.Promise, renewed func())

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
		client = promising{client, r.cfg.Renewals}
	}
	// A lease that was not renewed may mean a broken connection: look at once.
	lease.NewController(r.cfg.Clock, client, r.cfg.Name, leaseSeconds, r.Trigger, leaseInterval,
		r.cfg.Name, corev1.NamespaceNodeLease, owned).Run(ctx)
}

// promising is a client whose leases carry promises. It stands between client-go,
// which renews, and the wire, because what counts is when a renewal is sent.
type promising struct {
	kubernetes.Interface
	renewals Renewals
}

// CoordinationV1 implements kubernetes.Interface.
func (p promising) CoordinationV1() typedcoordinationv1.CoordinationV1Interface {
	return promisingGroup{p.Interface.CoordinationV1(), p.renewals}
}

type promisingGroup struct {
	typedcoordinationv1.CoordinationV1Interface
	renewals Renewals
}

// Leases implements typedcoordinationv1.LeasesGetter.
func (p promisingGroup) Leases(namespace string) typedcoordinationv1.LeaseInterface {
	return promisingLeases{p.CoordinationV1Interface.Leases(namespace), p.renewals}
}

type promisingLeases struct {
	typedcoordinationv1.LeaseInterface
	renewals Renewals
}

// Create implements typedcoordinationv1.LeaseInterface.
func (p promisingLeases) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return p.send(l, func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return p.LeaseInterface.Create(ctx, l, o)
	})
}

// Update implements typedcoordinationv1.LeaseInterface.
func (p promisingLeases) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return p.send(l, func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return p.LeaseInterface.Update(ctx, l, o)
	})
}

func (p promisingLeases) send(l *coordinationv1.Lease, do func(*coordinationv1.Lease) (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	promise, renewed := p.renewals()
	l = l.DeepCopy()
	delete(l.Annotations, nodeloss.LeaseAnnotation)
	if text := promise.String(); text != "" {
		metav1.SetMetaDataAnnotation(&l.ObjectMeta, nodeloss.LeaseAnnotation, text)
	}
	out, err := do(l)
	if err == nil {
		renewed()
	}
	return out, err
}
