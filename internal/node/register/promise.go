package register

import (
	"context"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"berth.dev/berth/internal/plan/nodeloss"
)

// Renewals gives each renewal of the lease its promise.
type Renewals func() (promise nodeloss.Promise, renewed func())

// promising is a client whose leases carry promises. It stands between client-go,
// which renews, and the wire, because what counts is when a renewal is sent.
// Renewals are sent one after the other: each says what holds from it on.
type promising struct {
	kubernetes.Interface
	renewals Renewals

	mu sync.Mutex
	// latest is the lease as this node last wrote it, nil when that is not known;
	// leases is where it was written.
	latest *coordinationv1.Lease
	leases typedcoordinationv1.LeaseInterface
}

// again renews the lease that was written last, if any. Without one the next write
// is about to come.
func (p *promising) again(ctx context.Context, now metav1.MicroTime) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseInterval)
	defer cancel()
	l := p.latest.DeepCopy()
	l.Spec.RenewTime = &now
	_, err := p.send(l, func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return p.leases.Update(ctx, l, metav1.UpdateOptions{})
	})
	return err
}

// send writes a lease with its promise. The lock is held.
func (p *promising) send(l *coordinationv1.Lease, do func(*coordinationv1.Lease) (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	promise, renewed := p.renewals()
	l = l.DeepCopy()
	delete(l.Annotations, nodeloss.LeaseAnnotation)
	if text := promise.String(); text != "" {
		metav1.SetMetaDataAnnotation(&l.ObjectMeta, nodeloss.LeaseAnnotation, text)
	}
	out, err := do(l)
	if err != nil {
		p.latest = nil
		return out, err
	}
	p.latest = out
	renewed()
	return out, nil
}

// CoordinationV1 implements kubernetes.Interface.
func (p *promising) CoordinationV1() typedcoordinationv1.CoordinationV1Interface {
	return promisingGroup{p.Interface.CoordinationV1(), p}
}

type promisingGroup struct {
	typedcoordinationv1.CoordinationV1Interface
	p *promising
}

// Leases implements typedcoordinationv1.LeasesGetter.
func (g promisingGroup) Leases(namespace string) typedcoordinationv1.LeaseInterface {
	return promisingLeases{g.CoordinationV1Interface.Leases(namespace), g.p}
}

type promisingLeases struct {
	typedcoordinationv1.LeaseInterface
	p *promising
}

// Create implements typedcoordinationv1.LeaseInterface.
func (c promisingLeases) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.leases = c.LeaseInterface
	return c.p.send(l, func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return c.LeaseInterface.Create(ctx, l, o)
	})
}

// Update implements typedcoordinationv1.LeaseInterface. Who renews does not know
// of renewals in between.
func (c promisingLeases) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.leases = c.LeaseInterface
	if c.p.latest != nil {
		l = l.DeepCopy()
		l.ResourceVersion = c.p.latest.ResourceVersion
	}
	return c.p.send(l, func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return c.LeaseInterface.Update(ctx, l, o)
	})
}
