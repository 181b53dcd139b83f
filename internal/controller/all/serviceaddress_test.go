package all_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/controller/all/alltest"
)

// TestServiceAddresses checks that every cluster IP has its IPAddress, that
// wrong ones are mended and told of, and that a range in use stays.
func TestServiceAddresses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := alltest.Start(t, alltest.Options{})
	ctx := t.Context()
	services, addresses, ranges := c.Client.CoreV1().Services("default"), c.Client.NetworkingV1().IPAddresses(), c.Client.NetworkingV1().ServiceCIDRs()
	svc, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	must(t, err)
	ip := svc.Spec.ClusterIP
	a, err := addresses.Get(ctx, ip, metav1.GetOptions{})
	must(t, err)
	if p := a.Spec.ParentRef; p.Resource != "services" || p.Namespace != "default" || p.Name != "s" ||
		a.Labels["ipaddress.kubernetes.io/managed-by"] != "ipallocator.k8s.io" || a.Labels["ipaddress.kubernetes.io/ip-family"] != "IPv4" {
		t.Errorf("address of %+v, labels %v", p, a.Labels)
	}

	must(t, addresses.Delete(ctx, ip, metav1.DeleteOptions{}))
	awaitFor(t, "the address made again", func(ctx context.Context) bool {
		_, err := addresses.Get(ctx, ip, metav1.GetOptions{})
		return err == nil
	})
	awaitFor(t, "the event", func(ctx context.Context) bool {
		events, err := c.Client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=ClusterIPNotAllocated"})
		return err == nil && slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.Message == "Cluster IP [IPv4]: "+ip+" is not allocated; repairing" && e.Source.Component == "ipallocator-repair-controller"
		})
	})

	// Another's object keeps its address from being given out.
	_, err = addresses.Create(ctx, &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: "10.43.0.77"},
		Spec:       networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Group: "example.org", Resource: "gateways", Name: "g"}},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "wants"}, Spec: corev1.ServiceSpec{ClusterIP: "10.43.0.77", Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "failed to allocate IP 10.43.0.77: provided IP is already allocated") {
		t.Errorf("got %v", err)
	}

	awaitFor(t, "the range protected", func(ctx context.Context) bool {
		r, err := ranges.Get(ctx, "kubernetes", metav1.GetOptions{})
		return err == nil && slices.Contains(r.Finalizers, "networking.k8s.io/service-cidr-finalizer") &&
			meta.IsStatusConditionTrue(r.Status.Conditions, "Ready")
	})
	must(t, ranges.Delete(ctx, "kubernetes", metav1.DeleteOptions{}))
	awaitFor(t, "the range told to be in use", func(ctx context.Context) bool {
		r, err := ranges.Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ready := meta.FindStatusCondition(r.Status.Conditions, "Ready")
		return ready.Status == metav1.ConditionFalse && ready.Reason == "Terminating" && strings.HasPrefix(ready.Message, "There are still IPAddresses referencing the ServiceCIDR")
	})

	must(t, services.Delete(ctx, "s", metav1.DeleteOptions{}))
	if _, err := addresses.Get(ctx, ip, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the address of a deleted service: %v", err)
	}
}

// TestLaterServiceRange has services get addresses of a range that a
// ServiceCIDR adds when the first is full; it stays while they have them.
func TestLaterServiceRange(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	c := alltest.Start(t, alltest.Options{Tune: func(c *apiserver.Config) {
		c.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/29")}
	}})
	ctx, services, ranges := t.Context(), c.Client.CoreV1().Services("default"), c.Client.NetworkingV1().ServiceCIDRs()
	create := func(name string) (string, error) {
		svc, err := services.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		return svc.Spec.ClusterIP, nil
	}
	full := func(err error) bool { return err != nil && strings.Contains(err.Error(), "range is full") }
	var err error
	for i := 0; err == nil && i < 9; i++ {
		_, err = create(fmt.Sprint("first-", i))
	}
	if !full(err) {
		t.Fatalf("the first range is full: %v", err)
	}
	_, err = ranges.Create(ctx, &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "second"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.44.0.0/28"}},
	}, metav1.CreateOptions{})
	must(t, err)
	ready := func(status metav1.ConditionStatus, reason, message string) func(context.Context) bool {
		return func(ctx context.Context) bool {
			r, err := ranges.Get(ctx, "second", metav1.GetOptions{})
			must(t, err)
			is := meta.FindStatusCondition(r.Status.Conditions, "Ready")
			return is != nil && is.Status == status && is.Reason == reason && is.Message == message
		}
	}
	awaitFor(t, "the second range ready", ready(metav1.ConditionTrue, "", "Kubernetes Service CIDR is ready"))
	ip, err := create("second")
	must(t, err)
	if !strings.HasPrefix(ip, "10.44.0.") {
		t.Errorf("an address of the second range is %s", ip)
	}
	a, err := c.Client.NetworkingV1().IPAddresses().Get(ctx, ip, metav1.GetOptions{})
	if err != nil || a.Spec.ParentRef.Name != "second" {
		t.Errorf("its object: %+v, %v", a, err)
	}
	must(t, ranges.Delete(ctx, "second", metav1.DeleteOptions{}))
	awaitFor(t, "the second range told to be in use", ready(metav1.ConditionFalse, "Terminating",
		"There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"))
	if _, err := create("late"); !full(err) {
		t.Errorf("an address of a range that is to go: %v", err)
	}
	must(t, services.Delete(ctx, "second", metav1.DeleteOptions{}))
	awaitFor(t, "the second range gone", func(ctx context.Context) bool {
		_, err := ranges.Get(ctx, "second", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func awaitFor(t *testing.T, what string, f func(context.Context) bool) {
	t.Helper()
	for begun := time.Now(); !f(t.Context()); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}
