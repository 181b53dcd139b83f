package serviceaddress

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

type repair struct{ env loop.Env }

// Reconcile looks after one service or one address.
func (r *repair) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace == "" {
		again, err := r.address(ctx, req.Name)
		return reconcile.Result{RequeueAfter: again}, err
	}
	svc := &corev1.Service{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, svc); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	for _, text := range svc.Spec.ClusterIPs {
		if _, err := netip.ParseAddr(text); err != nil && addressed(svc) {
			r.warn(svc, "ClusterIPNotValid", "Cluster IP %s is not a valid IP; please recreate Service", text)
		}
	}
	for _, ip := range held(svc) {
		if err := r.service(ctx, svc, ip); err != nil {
			return reconcile.Result{}, fmt.Errorf("address %s of service %s: %w", ip, req.NamespacedName, err)
		}
	}
	return reconcile.Result{}, nil
}

// addressed says that svc is of a kind that has cluster IPs.
func addressed(svc *corev1.Service) bool {
	return svc.Spec.Type != corev1.ServiceTypeExternalName && svc.Spec.ClusterIP != corev1.ClusterIPNone
}

// held are the cluster IPs of svc.
func held(svc *corev1.Service) []netip.Addr {
	if !addressed(svc) {
		return nil
	}
	var out []netip.Addr
	for _, text := range svc.Spec.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil {
			out = append(out, ip)
		}
	}
	return out
}

// service makes sure that the address of svc has its object.
func (r *repair) service(ctx context.Context, svc *corev1.Service, ip netip.Addr) error {
	known, err := r.inRange(ctx, ip)
	if err != nil {
		return err
	}
	if !known {
		r.warn(svc, "ClusterIPOutOfRange", "Cluster IP [%v]: %s is not within any configured Service CIDR; please recreate service", family(ip), ip)
		return nil
	}
	a := &networkingv1.IPAddress{}
	key := types.NamespacedName{Name: ip.String()}
	if r.env.Cache.Get(ctx, key, a) == nil && right(a, svc, ip) {
		return nil
	}
	err = r.env.Live.Get(ctx, key, a)
	switch {
	case apierrors.IsNotFound(err):
		// The service in the cache may be the older of the two.
		if gone, err := r.changed(ctx, svc); err != nil || gone {
			return err
		}
		r.warn(svc, "ClusterIPNotAllocated", "Cluster IP [%v]: %s is not allocated; repairing", family(ip), ip)
		return r.env.Write.Create(ctx, newAddress(svc, ip))
	case err != nil:
		return err
	case !ofService(a):
		r.wrong(svc, ip)
		return r.anew(ctx, svc, a, ip)
	case a.Spec.ParentRef.Namespace != svc.Namespace || a.Spec.ParentRef.Name != svc.Name:
		return r.another(ctx, svc, a, ip)
	case !right(a, svc, ip): // its labels are not
		return r.anew(ctx, svc, a, ip)
	}
	return nil
}

// right says that a is what svc's address should have.
func right(a *networkingv1.IPAddress, svc *corev1.Service, ip netip.Addr) bool {
	return ofService(a) && a.Spec.ParentRef.Namespace == svc.Namespace && a.Spec.ParentRef.Name == svc.Name &&
		a.Labels[networkingv1.LabelManagedBy] == managedBy && a.Labels[networkingv1.LabelIPAddressFamily] == string(family(ip))
}

// another decides between svc and the service that the address is said to be of.
func (r *repair) another(ctx context.Context, svc *corev1.Service, a *networkingv1.IPAddress, ip netip.Addr) error {
	if gone, err := r.changed(ctx, svc); err != nil || gone {
		return err
	}
	other := &corev1.Service{}
	err := r.env.Live.Get(ctx, types.NamespacedName{Namespace: a.Spec.ParentRef.Namespace, Name: a.Spec.ParentRef.Name}, other)
	if apierrors.IsNotFound(err) {
		r.wrong(svc, ip)
		return r.anew(ctx, svc, a, ip)
	}
	if err != nil {
		return err
	}
	if has(other, ip.String()) {
		r.warn(svc, "ClusterIPAlreadyAllocated", "Cluster IP [%v]:%s was assigned to multiple services; please recreate service", family(ip), ip)
	}
	return nil
}

// changed says whether svc is no longer what the cache holds.
func (r *repair) changed(ctx context.Context, svc *corev1.Service) (bool, error) {
	now := &corev1.Service{}
	err := r.env.Live.Get(ctx, client.ObjectKeyFromObject(svc), now)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return err == nil && now.ResourceVersion != svc.ResourceVersion, err
}

func (r *repair) anew(ctx context.Context, svc *corev1.Service, a *networkingv1.IPAddress, ip netip.Addr) error {
	if err := r.env.Write.Delete(ctx, a, client.Preconditions{UID: &a.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	return r.env.Write.Create(ctx, newAddress(svc, ip))
}

// settle is how long an address may be there before its service is stored:
// longer than any request lasts.
const settle = 60 * time.Second

// address removes the object of an address that the service it names has not.
func (r *repair) address(ctx context.Context, name string) (again time.Duration, err error) {
	a := &networkingv1.IPAddress{}
	if err := r.env.Cache.Get(ctx, types.NamespacedName{Name: name}, a); err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	if a.Labels[networkingv1.LabelManagedBy] != managedBy || a.DeletionTimestamp != nil {
		return 0, nil
	}
	if !ofService(a) {
		return 0, r.remove(ctx, a, "IPAddressNotAllocated", fmt.Sprintf("IPAddress %s appears to have been modified, not referencing a Service %v: cleaning up", name, a.Spec.ParentRef))
	}
	key, svc := types.NamespacedName{Namespace: a.Spec.ParentRef.Namespace, Name: a.Spec.ParentRef.Name}, &corev1.Service{}
	if err := r.env.Cache.Get(ctx, key, svc); err == nil && has(svc, name) {
		return 0, nil
	}
	if young := r.env.Clock.Since(a.CreationTimestamp.Time); young < settle {
		return settle - young, nil
	}
	err = r.env.Live.Get(ctx, key, svc)
	switch {
	case apierrors.IsNotFound(err):
		return 0, r.remove(ctx, a, "IPAddressNotAllocated", fmt.Sprintf("IPAddress: %s for Service %s appears to have leaked: cleaning up", name, key))
	case err != nil || has(svc, name):
		return 0, err
	}
	return 0, r.remove(ctx, a, "IPAddressWrongReference", fmt.Sprintf("IPAddress: %s for Service %s has a wrong reference; cleaning up", name, key))
}

func has(svc *corev1.Service, name string) bool {
	return slices.ContainsFunc(held(svc), func(ip netip.Addr) bool { return ip.String() == name })
}

func (r *repair) remove(ctx context.Context, a *networkingv1.IPAddress, reason, message string) error {
	if err := r.env.Write.Delete(ctx, a, client.Preconditions{UID: &a.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete address %s, which no service has: %w", a.Name, err)
	}
	r.env.Events.Event(a, corev1.EventTypeWarning, reason, message)
	return nil
}

func (r *repair) inRange(ctx context.Context, ip netip.Addr) (bool, error) {
	var all networkingv1.ServiceCIDRList
	if err := r.env.Cache.List(ctx, &all); err != nil || len(all.Items) == 0 {
		return true, err
	}
	for i := range all.Items {
		if contains(&all.Items[i], ip) {
			return true, nil
		}
	}
	return false, nil
}

func (r *repair) wrong(svc *corev1.Service, ip netip.Addr) {
	r.warn(svc, "ClusterIPNotAllocated", "the ClusterIP [%v]: %s for Service %s/%s has a wrong reference; repairing", family(ip), ip, svc.Namespace, svc.Name)
}

func (r *repair) warn(svc *corev1.Service, reason, format string, args ...any) {
	r.env.Events.Event(svc, corev1.EventTypeWarning, reason, fmt.Sprintf(format, args...))
}

func family(ip netip.Addr) corev1.IPFamily {
	if ip.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func newAddress(svc *corev1.Service, ip netip.Addr) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: ip.String(), Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(family(ip)), networkingv1.LabelManagedBy: managedBy,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name}},
	}
}
