package apiserver_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
)

func newService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
}

func TestServiceAddresses(t *testing.T) {
	e := apitest.Start(t)
	services := e.Client.CoreV1().Services(namespace)
	create := func(s *corev1.Service) (*corev1.Service, error) {
		return services.Create(t.Context(), s, metav1.CreateOptions{})
	}
	plain := must[*corev1.Service](t)(create(newService("plain")))
	ip, err := netip.ParseAddr(plain.Spec.ClusterIP)
	if err != nil || !netip.MustParsePrefix(apitest.ServiceCIDR).Contains(ip) {
		t.Errorf("address %q", plain.Spec.ClusterIP)
	}
	if !slices.Equal(plain.Spec.ClusterIPs, []string{plain.Spec.ClusterIP}) || !slices.Equal(plain.Spec.IPFamilies, []corev1.IPFamily{"IPv4"}) ||
		ptr.Deref(plain.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		t.Errorf("families: %+v", plain.Spec)
	}
	headless := newService("headless")
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	headless = must[*corev1.Service](t)(create(headless))
	if headless.Spec.ClusterIP != "None" || !slices.Equal(headless.Spec.ClusterIPs, []string{"None"}) {
		t.Errorf("headless: %+v", headless.Spec)
	}
	named := newService("named")
	named.Spec.ClusterIP = "10.43.0.10"
	if named = must[*corev1.Service](t)(create(named)); named.Spec.ClusterIP != "10.43.0.10" {
		t.Errorf("named: %+v", named.Spec)
	}
	for want, wrong := range map[string]func(*corev1.ServiceSpec){
		`spec.clusterIPs: Invalid value: ["10.43.0.10"]: failed to allocate IP 10.43.0.10: provided IP is already allocated`: func(s *corev1.ServiceSpec) { s.ClusterIP = "10.43.0.10" },
		"the provided network does not match the current range":                                                              func(s *corev1.ServiceSpec) { s.ClusterIP = "192.0.2.7" },
		"this cluster is not configured for dual-stack services":                                                             func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) },
		`spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`:                                          func(s *corev1.ServiceSpec) { s.IPFamilies = []corev1.IPFamily{"IPv6"} },
		"provided port is not in the valid range. The range of valid ports is 30000-32767": func(s *corev1.ServiceSpec) {
			s.Type, s.Ports[0].NodePort = corev1.ServiceTypeNodePort, 80
		},
	} {
		s := newService("wrong")
		wrong(&s.Spec)
		if _, err := create(s); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// A failed request keeps nothing, a deletion gives back.
	if err := services.Delete(t.Context(), "named", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	again := newService("again")
	again.Spec.ClusterIP = "10.43.0.10"
	must[*corev1.Service](t)(create(again))
}

func TestServiceUpdates(t *testing.T) {
	e := apitest.Start(t)
	services := e.Client.CoreV1().Services(namespace)
	svc := newService("s")
	svc.Spec.Type = corev1.ServiceTypeNodePort
	svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP})
	svc = must[*corev1.Service](t)(services.Create(t.Context(), svc, metav1.CreateOptions{}))
	port, address := svc.Spec.Ports[0].NodePort, svc.Spec.ClusterIP
	if port < 30000 || svc.Spec.Ports[1].NodePort != port {
		t.Errorf("node ports: %+v", svc.Spec.Ports)
	}
	// What the client leaves out stays.
	bare := newService("s")
	bare.Spec.Type = corev1.ServiceTypeNodePort
	bare.ResourceVersion = svc.ResourceVersion
	svc = must[*corev1.Service](t)(services.Update(t.Context(), bare, metav1.UpdateOptions{}))
	if svc.Spec.Ports[0].NodePort != port || svc.Spec.ClusterIP != address {
		t.Errorf("after an update: %+v", svc.Spec)
	}
	svc.Spec.Type = corev1.ServiceTypeClusterIP
	svc = must[*corev1.Service](t)(services.Update(t.Context(), svc, metav1.UpdateOptions{}))
	if svc.Spec.Ports[0].NodePort != 0 || svc.Spec.ClusterIP != address {
		t.Errorf("as ClusterIP: %+v", svc.Spec)
	}
	other := newService("other")
	other.Spec.Type, other.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port
	must[*corev1.Service](t)(services.Create(t.Context(), other, metav1.CreateOptions{}))
	svc.Spec.Type, svc.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.org"
	svc = must[*corev1.Service](t)(services.Update(t.Context(), svc, metav1.UpdateOptions{}))
	if svc.Spec.ClusterIP != "" || len(svc.Spec.ClusterIPs) != 0 {
		t.Errorf("as ExternalName: %+v", svc.Spec)
	}
	taker := newService("taker")
	taker.Spec.ClusterIP = address
	must[*corev1.Service](t)(services.Create(t.Context(), taker, metav1.CreateOptions{}))
}

func TestDualStackService(t *testing.T) {
	e := apitest.Start(t, func(c *apiserver.Config) {
		c.ServiceCIDRs = append(c.ServiceCIDRs, netip.MustParsePrefix("fd00:43::/112"))
	})
	services := e.Client.CoreV1().Services(namespace)
	svc := newService("s")
	svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	svc = must[*corev1.Service](t)(services.Create(t.Context(), svc, metav1.CreateOptions{}))
	if len(svc.Spec.ClusterIPs) != 2 || !strings.HasPrefix(svc.Spec.ClusterIPs[1], "fd00:43::") {
		t.Errorf("addresses %v", svc.Spec.ClusterIPs)
	}
	svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	svc = must[*corev1.Service](t)(services.Update(t.Context(), svc, metav1.UpdateOptions{}))
	if len(svc.Spec.ClusterIPs) != 1 || len(svc.Spec.IPFamilies) != 1 {
		t.Errorf("as single stack: %+v", svc.Spec)
	}
}
