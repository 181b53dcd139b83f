package apiserver

import (
	"context"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	kubernetesService = "kubernetes"
	httpsPort         = 443
)

// keepKubernetesService makes the Service by which pods find this server, and
// its endpoint. Both change only with flags, so once at start is enough.
func (s *Server) keepKubernetesService(ctx context.Context, p Parts) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceDefault}}
	if _, err := p.Client.CoreV1().Namespaces().Get(ctx, ns.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		if _, err := p.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := s.ensureServiceCIDR(ctx, p.Client); err != nil {
		return err
	}
	if err := s.tellProblems(ctx, p.Client); err != nil {
		return err
	}
	if err := s.ensureService(ctx, p.Client); err != nil {
		return err
	}
	addresses := []netip.Addr{}
	if s.config.AdvertiseAddress.IsValid() {
		addresses = append(addresses, s.config.AdvertiseAddress)
	}
	if err := s.ensureEndpoints(ctx, p.Client, addresses); err != nil {
		return err
	}
	return s.ensureSlice(ctx, p.Client, addresses)
}

func (s *Server) ensureService(ctx context.Context, client kubernetes.Interface) error {
	services := client.CoreV1().Services(metav1.NamespaceDefault)
	have, err := services.Get(ctx, kubernetesService, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	port := corev1.ServicePort{
		Name: "https", Protocol: corev1.ProtocolTCP, Port: httpsPort,
		TargetPort: intstr.FromInt32(s.port()),
	}
	if err == nil {
		if len(have.Spec.Ports) == 1 && have.Spec.Ports[0].TargetPort == port.TargetPort {
			return nil
		}
		have.Spec.Ports = []corev1.ServicePort{port}
		_, err = services.Update(ctx, have, metav1.UpdateOptions{})
		return err
	}
	first := s.config.ServiceCIDRs[0].Masked().Addr().Next()
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:   kubernetesService,
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Ports:           []corev1.ServicePort{port},
			ClusterIP:       first.String(),
			SessionAffinity: corev1.ServiceAffinityNone,
			Type:            corev1.ServiceTypeClusterIP,
			IPFamilyPolicy:  ptr.To(corev1.IPFamilyPolicySingleStack),
		},
	}, metav1.CreateOptions{})
	return err
}

func (s *Server) port() int32 {
	return int32(netip.MustParseAddrPort(s.listener.Addr().String()).Port())
}

func (s *Server) ensureEndpoints(ctx context.Context, client kubernetes.Interface, mine []netip.Addr) error {
	endpoints := client.CoreV1().Endpoints(metav1.NamespaceDefault)
	have, err := endpoints.Get(ctx, kubernetesService, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{
		Name:   kubernetesService,
		Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"},
	}}
	var others []string
	if err == nil {
		for _, subset := range have.Subsets {
			for _, a := range subset.Addresses {
				others = append(others, a.IP)
			}
		}
	}
	for _, a := range s.join(mine, others) {
		if len(want.Subsets) == 0 {
			want.Subsets = []corev1.EndpointSubset{{
				Ports: []corev1.EndpointPort{{Name: "https", Port: s.port(), Protocol: corev1.ProtocolTCP}},
			}}
		}
		want.Subsets[0].Addresses = append(want.Subsets[0].Addresses, corev1.EndpointAddress{IP: a})
	}
	switch {
	case apierrors.IsNotFound(err):
		_, err = endpoints.Create(ctx, want, metav1.CreateOptions{})
	case !equality.Semantic.DeepEqual(have.Subsets, want.Subsets) || have.Labels[discoveryv1.LabelSkipMirror] != "true":
		have.Subsets = want.Subsets
		have.Labels = want.Labels
		_, err = endpoints.Update(ctx, have, metav1.UpdateOptions{})
	}
	return err
}

func (s *Server) ensureSlice(ctx context.Context, client kubernetes.Interface, mine []netip.Addr) error {
	slices := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	have, err := slices.Get(ctx, kubernetesService, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	var others []string
	if err == nil {
		for _, e := range have.Endpoints {
			others = append(others, e.Addresses...)
		}
	}
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:   kubernetesService,
			Labels: map[string]string{discoveryv1.LabelServiceName: kubernetesService},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{
			Name: ptr.To("https"), Port: ptr.To(s.port()), Protocol: ptr.To(corev1.ProtocolTCP),
		}},
	}
	if s.config.AdvertiseAddress.Is6() {
		want.AddressType = discoveryv1.AddressTypeIPv6
	}
	for _, a := range s.join(mine, others) {
		want.Endpoints = append(want.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{a}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	if apierrors.IsNotFound(err) {
		_, err = slices.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if have.AddressType != want.AddressType { // it cannot be changed
		if err := slices.Delete(ctx, kubernetesService, metav1.DeleteOptions{}); err != nil {
			return err
		}
		_, err = slices.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if equality.Semantic.DeepEqual(have.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(have.Ports, want.Ports) {
		return nil
	}
	have.Endpoints, have.Ports, have.Labels = want.Endpoints, want.Ports, want.Labels
	_, err = slices.Update(ctx, have, metav1.UpdateOptions{})
	return err
}

// join keeps the addresses of other servers on the same datastore.
func (s *Server) join(mine []netip.Addr, others []string) []string {
	var out []string
	for _, a := range mine {
		out = append(out, a.String())
	}
	if !s.config.Datastore.Embedded {
		out = append(out, others...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
