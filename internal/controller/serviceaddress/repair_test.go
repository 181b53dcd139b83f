package serviceaddress

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

type events []string

func (e *events) Event(_ runtime.Object, eventType, reason, message string) {
	*e = append(*e, fmt.Sprintf("%s %s: %s", eventType, reason, message))
}

func service(name string, ips ...string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: ips[0], ClusterIPs: ips},
	}
}

func addressOf(svc *corev1.Service, ip string, change func(*networkingv1.IPAddress)) *networkingv1.IPAddress {
	a := newAddress(svc, held(service("x", ip))[0])
	a.UID = "u"
	a.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	if change != nil {
		change(a)
	}
	return a
}

// TestEvents has what is wrong with services and addresses told in Kubernetes'
// words, and mended where it can be.
func TestEvents(t *testing.T) {
	elsewhere := func(a *networkingv1.IPAddress) {
		a.Spec.ParentRef = &networkingv1.ParentReference{Group: "example.org", Resource: "gateways", Name: "g"}
	}
	a, b := service("a", "10.43.0.5"), service("b", "10.43.0.5")
	for _, c := range []struct {
		name    string
		objects []client.Object
		wake    client.Object
		want    []string
		holder  string // whom 10.43.0.5 is of afterwards
	}{
		{"sound", []client.Object{a, addressOf(a, "10.43.0.5", nil)}, a, nil, "a"},
		{"missing", []client.Object{a}, a, []string{
			"Warning ClusterIPNotAllocated: Cluster IP [IPv4]: 10.43.0.5 is not allocated; repairing",
		}, "a"},
		{"of no service", []client.Object{a, addressOf(a, "10.43.0.5", elsewhere)}, a, []string{
			"Warning ClusterIPNotAllocated: the ClusterIP [IPv4]: 10.43.0.5 for Service default/a has a wrong reference; repairing",
		}, "a"},
		{"of a service that is gone", []client.Object{a, addressOf(b, "10.43.0.5", nil)}, a, []string{
			"Warning ClusterIPNotAllocated: the ClusterIP [IPv4]: 10.43.0.5 for Service default/a has a wrong reference; repairing",
		}, "a"},
		{"of two services", []client.Object{a, b, addressOf(b, "10.43.0.5", nil)}, a, []string{
			"Warning ClusterIPAlreadyAllocated: Cluster IP [IPv4]:10.43.0.5 was assigned to multiple services; please recreate service",
		}, "b"},
		{"without its labels", []client.Object{a, addressOf(a, "10.43.0.5", func(a *networkingv1.IPAddress) { a.Labels = nil })}, a, nil, "a"},
		{"out of range", []client.Object{service("o", "192.0.2.7")}, service("o", "192.0.2.7"), []string{
			"Warning ClusterIPOutOfRange: Cluster IP [IPv4]: 192.0.2.7 is not within any configured Service CIDR; please recreate service",
		}, ""},
		{"no address", []client.Object{service("o", "nonsense")}, service("o", "nonsense"), []string{
			"Warning ClusterIPNotValid: Cluster IP nonsense is not a valid IP; please recreate Service",
		}, ""},
		{"headless", []client.Object{service("o", "None")}, service("o", "None"), nil, ""},
		{"leaked", []client.Object{addressOf(a, "10.43.0.5", nil)}, addressOf(a, "10.43.0.5", nil), []string{
			"Warning IPAddressNotAllocated: IPAddress: 10.43.0.5 for Service default/a appears to have leaked: cleaning up",
		}, ""},
		{"modified", []client.Object{addressOf(a, "10.43.0.5", elsewhere)}, addressOf(a, "10.43.0.5", elsewhere), []string{
			"Warning IPAddressNotAllocated: IPAddress 10.43.0.5 appears to have been modified, not referencing a Service &ParentReference{Group:example.org,Resource:gateways,Namespace:,Name:g,}: cleaning up",
		}, ""},
		{"of a service with another", []client.Object{service("a", "10.43.0.6"), addressOf(a, "10.43.0.5", nil)}, addressOf(a, "10.43.0.5", nil), []string{
			"Warning IPAddressWrongReference: IPAddress: 10.43.0.5 for Service default/a has a wrong reference; cleaning up",
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := []client.Object{&networkingv1.ServiceCIDR{
				ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.43.0.0/16"}},
			}}
			for _, o := range c.objects {
				objects = append(objects, o.DeepCopyObject().(client.Object))
			}
			world := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).Build()
			var told events
			r := RepairLoop().New(loop.Env{Cache: world, Live: world, Write: world, Events: &told, Clock: clock.RealClock{}})
			if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c.wake)}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, []string(told)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			left := &networkingv1.IPAddress{}
			err := world.Get(t.Context(), client.ObjectKey{Name: "10.43.0.5"}, left)
			switch {
			case c.holder == "" && !apierrors.IsNotFound(err):
				t.Errorf("the address is left: %v, %v", left, err)
			case c.holder != "" && (err != nil || !ofService(left) || left.Spec.ParentRef.Name != c.holder || left.Labels[networkingv1.LabelManagedBy] != managedBy):
				t.Errorf("the address is %+v, %v; want it to be of %s", left, err, c.holder)
			}
		})
	}
}
