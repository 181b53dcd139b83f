package apiserver

import (
	"context"
	"net/netip"
	"strings"

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

// keepKubernetesService makes the Service by which pods find the servers, and its
// endpoints. A server that is alone writes them once: they change only with
// flags, and when another server comes. Servers that share a datastore write them whenever one comes or goes.
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
	if s.config.Datastore.Alone() {
		if err := s.writeServers(ctx, s.addresses()); err != nil {
			return err
		}
		s.mayAttend() // when another server comes
		return nil
	}
	s.mayAttend()
	select {
	case <-s.attends:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attend lists this server among those on its datastore until ctx ends, once
// the Service is there.
func (s *Server) attend(ctx context.Context) {
	select {
	case <-s.attendable:
	case <-ctx.Done():
		return
	}
	attends := onceClose(s.attends)
	s.config.Datastore.Attend(ctx, strings.Join(s.addresses(), ""), func(ctx context.Context, addresses []string) error {
		if err := s.writeServers(ctx, addresses); err != nil {
			return err
		}
		attends()
		return nil
	})
}

// addresses are where this server is reached: one or none.
func (s *Server) addresses() []string {
	if !s.config.AdvertiseAddress.IsValid() {
		return nil
	}
	return []string{s.config.AdvertiseAddress.String()}
}

// writeServers makes the addresses the endpoints of the kubernetes Service.
func (s *Server) writeServers(ctx context.Context, addresses []string) error {
	if err := s.ensureEndpoints(ctx, s.parts.Client, addresses); err != nil {
		return err
	}
	return s.ensureSlice(ctx, s.parts.Client, addresses)
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

func (s *Server) ensureEndpoints(ctx context.Context, client kubernetes.Interface, addresses []string) error {
	endpoints := client.CoreV1().Endpoints(metav1.NamespaceDefault)
	have, err := endpoints.Get(ctx, kubernetesService, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{
		Name:   kubernetesService,
		Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"},
	}}
	for _, a := range addresses {
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

func (s *Server) ensureSlice(ctx context.Context, client kubernetes.Interface, addresses []string) error {
	slices := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	have, err := slices.Get(ctx, kubernetesService, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
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
	for _, a := range addresses {
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
