package serviceaddress

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

const (
	readyMessage = "Kubernetes Service CIDR is ready"
	inUseMessage = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
	// leaveWithin is how long a range stays after it was deleted, so that no
	// server gives out an address of it meanwhile.
	leaveWithin = 10 * time.Second
)

type ranges struct{ env loop.Env }

// Reconcile looks after one range.
func (r *ranges) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	cached := &networkingv1.ServiceCIDR{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, cached); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	c := cached.DeepCopy()
	if c.DeletionTimestamp != nil {
		return r.leave(ctx, c)
	}
	if controllerutil.AddFinalizer(c, finalizer) {
		if err := r.env.Write.Update(ctx, c); err != nil {
			return reconcile.Result{}, fmt.Errorf("protect service range %s: %w", c.Name, err)
		}
	}
	return reconcile.Result{}, r.tell(ctx, c, metav1.Condition{Status: metav1.ConditionTrue, Message: readyMessage})
}

// leave lets a deleted range go once nothing needs it.
func (r *ranges) leave(ctx context.Context, c *networkingv1.ServiceCIDR) (reconcile.Result, error) {
	needed, err := r.needed(ctx, c)
	if err != nil {
		return reconcile.Result{}, err
	}
	if needed {
		return reconcile.Result{}, r.tell(ctx, c, metav1.Condition{
			Status: metav1.ConditionFalse, Reason: networkingv1.ServiceCIDRReasonTerminating, Message: inUseMessage,
		})
	}
	if wait := leaveWithin - r.env.Clock.Since(c.DeletionTimestamp.Time); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	if controllerutil.RemoveFinalizer(c, finalizer) {
		if err := r.env.Write.Update(ctx, c); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("let service range %s go: %w", c.Name, err)
		}
	}
	return reconcile.Result{}, nil
}

// needed says whether some address would be of no range without c.
func (r *ranges) needed(ctx context.Context, c *networkingv1.ServiceCIDR) (bool, error) {
	var all networkingv1.ServiceCIDRList
	var addresses networkingv1.IPAddressList
	if err := r.env.Live.List(ctx, &all); err != nil {
		return true, fmt.Errorf("list service ranges: %w", err)
	}
	if err := r.env.Live.List(ctx, &addresses, client.MatchingLabels{networkingv1.LabelManagedBy: managedBy}); err != nil {
		return true, fmt.Errorf("list service addresses: %w", err)
	}
	for i := range addresses.Items {
		ip, err := netip.ParseAddr(addresses.Items[i].Name)
		if err == nil && contains(c, ip) && !elsewhere(all.Items, c, ip) {
			return true, nil
		}
	}
	return false, nil
}

func elsewhere(all []networkingv1.ServiceCIDR, c *networkingv1.ServiceCIDR, ip netip.Addr) bool {
	for i := range all {
		if all[i].Name != c.Name && contains(&all[i], ip) {
			return true
		}
	}
	return false
}

func (r *ranges) tell(ctx context.Context, c *networkingv1.ServiceCIDR, ready metav1.Condition) error {
	ready.Type = networkingv1.ServiceCIDRConditionReady
	if !meta.SetStatusCondition(&c.Status.Conditions, ready) {
		return nil
	}
	if err := r.env.Write.Status().Update(ctx, c); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("status of service range %s: %w", c.Name, err)
	}
	return nil
}
