// Package serviceaddress keeps the objects that stand for the addresses of
// services: an IPAddress for each cluster IP, mended where it is missing or
// wrong, and the ServiceCIDRs, which stay as long as addresses of theirs are in
// use. Who gets which address is decided by the API server.
package serviceaddress

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

const (
	// managedBy marks the addresses that the API server gives out.
	managedBy  = "ipallocator.k8s.io"
	finalizer  = "networking.k8s.io/service-cidr-finalizer"
	repairUser = "system:serviceaccount:kube-system:service-address-controller"
	rangeUser  = "system:serviceaccount:kube-system:service-cidrs-controller"
)

// RepairLoop returns the loop that looks after the IPAddresses. Keys with a
// namespace are services, keys without are addresses.
func RepairLoop() loop.Loop {
	return loop.Loop{
		Name:   "service-address",
		Source: "ipallocator-repair-controller",
		User:   repairUser,
		Watches: []loop.Watch{
			{Kind: &corev1.Service{}, Map: onService},
			{Kind: &networkingv1.IPAddress{}, Map: onAddress},
			{Kind: &networkingv1.ServiceCIDR{}},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &repair{env} },
	}
}

// RangeLoop returns the loop that looks after the ServiceCIDRs.
func RangeLoop() loop.Loop {
	return loop.Loop{
		Name:   "service-cidr",
		Source: "service-cidrs-controller",
		User:   rangeUser,
		Watches: []loop.Watch{
			{Kind: &networkingv1.ServiceCIDR{}, Map: onRange},
			{Kind: &networkingv1.IPAddress{}, Map: onAddressOfRange},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &ranges{env} },
	}
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// onService wakes the service when its addresses may have changed.
func onService(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil // its addresses have events of their own
	}
	return []reconcile.Request{request(ev.New.GetNamespace(), ev.New.GetName())}
}

// onAddress wakes the address, and the service whose it was.
func onAddress(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	out := []reconcile.Request{request("", ev.Object().GetName())}
	for _, obj := range []client.Object{ev.Old, ev.New} {
		if a, ok := obj.(*networkingv1.IPAddress); ok && ofService(a) {
			out = append(out, request(a.Spec.ParentRef.Namespace, a.Spec.ParentRef.Name))
		}
	}
	return out
}

func ofService(a *networkingv1.IPAddress) bool {
	return a.Spec.ParentRef != nil && a.Spec.ParentRef.Group == "" && a.Spec.ParentRef.Resource == "services"
}

// onRange wakes every range: whether one may go depends on the others.
func onRange(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	out := []reconcile.Request{request("", ev.Object().GetName())}
	if ev.Old != nil && ev.New != nil {
		return out
	}
	var all networkingv1.ServiceCIDRList
	if read.List(ctx, &all) != nil {
		return out
	}
	for i := range all.Items {
		if all.Items[i].Name != ev.Object().GetName() {
			out = append(out, request("", all.Items[i].Name))
		}
	}
	return out
}

// onAddressOfRange wakes the ranges that may have waited for the address to go.
func onAddressOfRange(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	ip, err := netip.ParseAddr(ev.Object().GetName())
	var all networkingv1.ServiceCIDRList
	if err != nil || ev.New != nil && ev.Old != nil || read.List(ctx, &all) != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range all.Items {
		if all.Items[i].DeletionTimestamp != nil && contains(&all.Items[i], ip) {
			out = append(out, request("", all.Items[i].Name))
		}
	}
	return out
}

func contains(r *networkingv1.ServiceCIDR, ip netip.Addr) bool {
	for _, text := range r.Spec.CIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Contains(ip) {
			return true
		}
	}
	return false
}
