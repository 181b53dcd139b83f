package netpolicy_test

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"berth.dev/berth/internal/plan/netpolicy"
)

// BenchmarkChange is one pod that comes or goes among 1,000, of which every
// tenth is on this node, in 10 namespaces with 100 policies; one of the policies,
// and the labels of a namespace.
func BenchmarkChange(b *testing.B) {
	c := netpolicy.Cluster{Namespaces: map[string]labels.Set{}}
	for i := range 10 {
		c.Namespaces[fmt.Sprint("ns-", i)] = labels.Set{"team": fmt.Sprint(i % 3)}
	}
	for i := range 1000 {
		c.Pods = append(c.Pods, netpolicy.Pod{
			Namespace: fmt.Sprint("ns-", i%10), Labels: labels.Set{"app": fmt.Sprint(i / 10 % 10)}, Local: i%10 == i/10%10,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 42, byte(i / 250), byte(1 + i%250)})}, Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
		})
	}
	for i := range 100 {
		app := func(n int) *metav1.LabelSelector {
			return &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(n % 10)}}
		}
		c.Policies = append(c.Policies, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint("ns-", i%10), Name: fmt.Sprint("p-", i)},
			Spec: networkingv1.NetworkPolicySpec{PodSelector: *app(i / 10), Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
				{PodSelector: app(i/10 + 1)}, {NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i % 3)}}, PodSelector: app(i/10 + 2)},
			}}}},
		})
	}
	u := netpolicy.Update{Pods: map[string]*netpolicy.Pod{}, Policies: map[string]*networkingv1.NetworkPolicy{}, Namespaces: c.Namespaces}
	for i := range c.Pods {
		u.Pods[fmt.Sprint(i)] = &c.Pods[i]
	}
	for _, p := range c.Policies {
		u.Policies[p.Name] = p
	}
	for _, d := range []struct {
		name   string
		change func(i int) netpolicy.Update
	}{
		{"pod", func(i int) netpolicy.Update { // the last one goes, and comes again
			p := &c.Pods[len(c.Pods)-1]
			if i%2 == 0 {
				p = nil
			}
			return netpolicy.Update{Pods: map[string]*netpolicy.Pod{fmt.Sprint(len(c.Pods) - 1): p}}
		}},
		{"policy", func(i int) netpolicy.Update {
			p := c.Policies[77]
			if i%2 == 0 {
				p = nil
			}
			return netpolicy.Update{Policies: map[string]*networkingv1.NetworkPolicy{c.Policies[77].Name: p}}
		}},
		{"namespace", func(i int) netpolicy.Update {
			return netpolicy.Update{Namespaces: map[string]labels.Set{"ns-0": {"team": fmt.Sprint(i % 2)}}}
		}},
	} {
		b.Run(d.name, func(b *testing.B) {
			book := netpolicy.NewBook()
			book.Update(u)
			b.ReportMetric(float64(len(book.State().Profiles)), "profiles")
			for i := 0; b.Loop(); i++ {
				if book.Update(d.change(i)).Empty() && d.name != "namespace" {
					b.Fatal("nothing changes")
				}
			}
		})
	}
	b.Run("everything", func(b *testing.B) {
		for b.Loop() {
			netpolicy.NewBook().Update(u)
		}
	})
}
