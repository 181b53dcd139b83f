package balancer

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/balancer"
)

type events []string

func (e *events) Event(_ runtime.Object, eventType, reason, message string) {
	*e = append(*e, fmt.Sprintf("%s %s: %s", eventType, reason, message))
}

// One address and two Services: the second is told why it waits, gets the
// address once the first has no use for it, and an address of somebody else's is
// left alone.
func TestOneAddressTwoServices(t *testing.T) {
	service := func(name string, ips ...string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		for _, ip := range ips {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
		return s
	}
	foreign := service("c", "198.51.100.1")
	foreign.Spec.Type = corev1.ServiceTypeClusterIP
	pool, err := balancer.ParsePool([]string{"192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(service("a"), service("b"), foreign).WithStatusSubresource(&corev1.Service{}).Build()
	var said events
	l := Loop(pool)
	r := l.New(loop.Env{Cache: api, Live: api, Write: api, Events: &said})
	look := func(name string) *corev1.Service {
		t.Helper()
		s := &corev1.Service{}
		key := client.ObjectKey{Namespace: "default", Name: name}
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		if err := api.Get(t.Context(), key, s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	ips := func(s *corev1.Service) (out []string) {
		for _, in := range s.Status.LoadBalancer.Ingress {
			out = append(out, in.IP)
		}
		return out
	}
	a, b := look("a"), look("b")
	if !slices.Equal(ips(a), []string{"192.0.2.1"}) || len(ips(b)) > 0 {
		t.Errorf("a has %v, b has %v", ips(a), ips(b))
	}
	want := events{
		"Normal EnsuredLoadBalancer: Ensured load balancer",
		"Warning SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: no IPv4 address is free in the pool 192.0.2.1: all 1 are taken",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	a.Spec.Type = corev1.ServiceTypeClusterIP
	if err := api.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	before := a.DeepCopy()
	if a = look("a"); len(ips(a)) > 0 {
		t.Errorf("a is no balancer any more and has %v", ips(a))
	}
	woken := l.Watches[0].Map(context.Background(), api, loop.Event{Old: before, New: a})
	if !slices.Contains(woken, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "default", Name: "b"}}) {
		t.Errorf("what wakes up: %v, without the one that waits", woken)
	}
	if b = look("b"); !slices.Equal(ips(b), []string{"192.0.2.1"}) {
		t.Errorf("b has %v", ips(b))
	}
	if c := look("c"); !slices.Equal(ips(c), []string{"198.51.100.1"}) {
		t.Errorf("somebody else's address became %v", ips(c))
	}
}
