package apiserver

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"berth.dev/berth/internal/api"
)

const (
	serviceCIDR    = "kubernetes"
	addressManager = "ipallocator.k8s.io"
	portRepair     = "portallocator-repair-controller"
)

// serviceObjects are the stored Services and their IPAddresses, if those are served.
type serviceObjects struct{ *groups }

// Services implements service.Objects.
func (o serviceObjects) Services() ([]corev1.Service, error) {
	m := o.mains["services"]
	if m == nil {
		return nil, nil
	}
	list, err := m.List(clusterWide(), &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.(*corev1.ServiceList).Items, nil
}

// Take implements service.Objects.
func (o serviceObjects) Take(ip netip.Addr, svc *corev1.Service) (mine, made bool, err error) {
	m := o.mains["ipaddresses.networking.k8s.io"]
	if m == nil {
		return true, false, nil
	}
	family := corev1.IPv4Protocol
	if ip.Is6() {
		family = corev1.IPv6Protocol
	}
	_, err = m.Create(clusterWide(), &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: ip.String(), Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: string(family), networkingv1.LabelManagedBy: addressManager,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name}},
	}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err == nil, err == nil, err
	}
	obj, err := m.Get(clusterWide(), ip.String(), &metav1.GetOptions{})
	if err != nil {
		return false, false, err
	}
	return isOf(obj.(*networkingv1.IPAddress), svc), false, nil
}

func (o serviceObjects) Give(ip netip.Addr, svc *corev1.Service) {
	m := o.mains["ipaddresses.networking.k8s.io"]
	if m == nil {
		return
	}
	_, _, err := m.Delete(clusterWide(), ip.String(), func(_ context.Context, obj runtime.Object) error {
		if a := obj.(*networkingv1.IPAddress); !isOf(a, svc) {
			return apierrors.NewConflict(networkingv1.SchemeGroupVersion.WithResource("ipaddresses").GroupResource(), a.Name, errors.New("it is of something else"))
		}
		return nil
	}, &metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		klog.ErrorS(err, "Giving back the address of a service", "service", klog.KObj(svc), "address", ip)
	}
}

// Ranges implements service.Objects. The range that flags give is open before
// anybody has said so.
func (o serviceObjects) Ranges() (map[netip.Prefix]bool, error) {
	m := o.mains["servicecidrs.networking.k8s.io"]
	if m == nil {
		return nil, nil
	}
	list, err := m.List(clusterWide(), &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[netip.Prefix]bool{}
	for _, c := range list.(*networkingv1.ServiceCIDRList).Items {
		ready := meta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
		open := ready == nil && c.Name == serviceCIDR || ready != nil && ready.Status == metav1.ConditionTrue
		for _, text := range c.Spec.CIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				out[p.Masked()] = out[p.Masked()] || open && c.DeletionTimestamp == nil
			}
		}
	}
	return out, nil
}

// Taken implements service.Objects.
func (o serviceObjects) Taken(within netip.Prefix) ([]netip.Addr, error) {
	m := o.mains["ipaddresses.networking.k8s.io"]
	if m == nil {
		return nil, nil
	}
	list, err := m.List(clusterWide(), &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list.(*networkingv1.IPAddressList).Items {
		if ip, err := netip.ParseAddr(a.Name); err == nil && within.Contains(ip) {
			out = append(out, ip)
		}
	}
	return out, nil
}

// clusterWide is a context for objects without a namespace. A change of a
// service may be undone when its request is over, so it is not the request's.
func clusterWide() context.Context {
	return request.WithNamespace(request.NewContext(), metav1.NamespaceNone)
}

func isOf(a *networkingv1.IPAddress, svc *corev1.Service) bool {
	p := a.Spec.ParentRef
	return p != nil && p.Group == "" && p.Resource == "services" && p.Namespace == svc.Namespace && p.Name == svc.Name
}

// ensureServiceCIDR makes the object of the ranges that flags give. One that
// says something else is left alone.
func (s *Server) ensureServiceCIDR(ctx context.Context, client kubernetes.Interface) error {
	if !slices.ContainsFunc(s.config.Kinds, func(k api.Kind) bool { return k.GVK.Kind == "ServiceCIDR" }) {
		return nil
	}
	var want []string
	for _, p := range s.config.ServiceCIDRs {
		want = append(want, p.Masked().String())
	}
	ranges := client.NetworkingV1().ServiceCIDRs()
	have, err := ranges.Get(ctx, serviceCIDR, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		have, err = ranges.Create(ctx, &networkingv1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: serviceCIDR}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: want},
		}, metav1.CreateOptions{})
	case err == nil && len(have.Spec.CIDRs) == 1 && len(want) == 2 && have.Spec.CIDRs[0] == want[0]:
		have.Spec.CIDRs = want
		have, err = ranges.Update(ctx, have, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	if !slices.Equal(have.Spec.CIDRs, want) {
		return s.event(ctx, client, have, "ServiceCIDR", "networking.k8s.io/v1", "kubernetes-service-cidr-controller",
			"KubernetesDefaultServiceCIDRInconsistent", inconsistent(have.Spec.CIDRs, want))
	}
	if have.DeletionTimestamp != nil || meta.FindStatusCondition(have.Status.Conditions, networkingv1.ServiceCIDRConditionReady) != nil {
		return nil
	}
	meta.SetStatusCondition(&have.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, Message: "Kubernetes default Service CIDR is ready",
	})
	_, err = ranges.UpdateStatus(ctx, have, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) { // its loop was faster
		return nil
	}
	return err
}
