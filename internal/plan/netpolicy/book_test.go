package netpolicy_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/netpolicy"
)

// Whatever happens to pods, policies and namespaces, and in whatever portions: the
// book comes to what is decided on the whole cluster, and its changes lead the
// kernel there, which refuses to add what is there and to delete what is not.
func TestABookComesToWhatIsDecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		book, kernel := netpolicy.NewBook(), netpolicy.NewState()
		pods, policies, spaces := map[string]*netpolicy.Pod{}, map[string]*networkingv1.NetworkPolicy{}, map[string]labels.Set{}
		for range rapid.IntRange(1, 12).Draw(t, "updates") {
			u := netpolicy.Update{Pods: map[string]*netpolicy.Pod{}, Policies: map[string]*networkingv1.NetworkPolicy{}, Namespaces: map[string]labels.Set{}}
			for range rapid.IntRange(0, 5).Draw(t, "events") {
				gone := rapid.IntRange(0, 2).Draw(t, "gone") == 0
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					key := fmt.Sprint("pod-", rapid.IntRange(0, 5).Draw(t, "pod"))
					u.Pods[key] = nil
					if !gone {
						u.Pods[key] = anyPod(t)
					}
				case 1:
					// A policy stays in its namespace.
					n := rapid.IntRange(0, 3).Draw(t, "policy")
					key := fmt.Sprint("np-", n)
					u.Policies[key] = nil
					if !gone {
						u.Policies[key] = anyPolicy(t, fmt.Sprint("ns-", n%2))
					}
				case 2:
					key := fmt.Sprint("ns-", rapid.IntRange(0, 1).Draw(t, "namespace"))
					u.Namespaces[key] = nil
					if !gone {
						u.Namespaces[key] = labels.Set{"stage": rapid.SampledFrom([]string{"prod", "test"}).Draw(t, "stage")}
					}
				}
			}
			apply(t, kernel, book.Update(u))
			merge(pods, u.Pods)
			merge(policies, u.Policies)
			maps.Copy(spaces, u.Namespaces)
			c := netpolicy.Cluster{Namespaces: spaces, Policies: slices.Collect(maps.Values(policies))}
			for _, key := range slices.Sorted(maps.Keys(pods)) {
				c.Pods = append(c.Pods, *pods[key])
			}
			want := netpolicy.Decide(c)
			if diff := difference(want, book.State()); diff != "" {
				t.Fatalf("(-decided +book):\n%s", diff)
			}
			if diff := difference(want, kernel); diff != "" {
				t.Fatalf("(-decided +kernel):\n%s", diff)
			}
		}
	})
}

func difference(a, b netpolicy.State) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
}

func merge[T any](all, next map[string]*T) {
	for key, t := range next {
		if t == nil {
			delete(all, key)
		} else {
			all[key] = t
		}
	}
}

func anyPod(t *rapid.T) *netpolicy.Pod {
	p := &netpolicy.Pod{Namespace: fmt.Sprint("ns-", rapid.IntRange(0, 1).Draw(t, "in")), Local: rapid.Bool().Draw(t, "local")}
	if app := rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "app"); app != "" {
		p.Labels = labels.Set{"app": app}
	}
	if n := rapid.SampledFrom([]int32{8080, 9090, 0}).Draw(t, "port"); n != 0 {
		p.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: n}}
	}
	// Two pods may have one address for a moment.
	for range rapid.IntRange(0, 2).Draw(t, "addresses") {
		a := netip.AddrFrom4([4]byte{10, 42, 0, byte(rapid.IntRange(1, 7).Draw(t, "address"))})
		if !slices.Contains(p.Addresses, a) {
			p.Addresses = append(p.Addresses, a)
		}
	}
	return p
}

func anyPolicy(t *rapid.T, namespace string) *networkingv1.NetworkPolicy {
	selectors := []*metav1.LabelSelector{selector(), selector("app", "a"), selector("app", "b")}
	var peers []networkingv1.NetworkPolicyPeer
	for range rapid.IntRange(0, 2).Draw(t, "peers") {
		p := peer{PodSelector: rapid.SampledFrom(selectors).Draw(t, "peer")}
		switch rapid.IntRange(0, 3).Draw(t, "kind of peer") {
		case 0:
			p.NamespaceSelector = rapid.SampledFrom([]*metav1.LabelSelector{selector(), selector("stage", "prod")}).Draw(t, "spaces")
		case 1:
			p = peer{IPBlock: &networkingv1.IPBlock{CIDR: "198.51.100.0/24"}}
		}
		peers = append(peers, p)
	}
	var ports []networkingv1.NetworkPolicyPort
	if rapid.Bool().Draw(t, "has ports") {
		ports = append(ports, port(rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(80), intstr.FromString("web")}).Draw(t, "to")))
	}
	np := in(networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports})
	if rapid.Bool().Draw(t, "egress") {
		np = out(networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
	}
	np.Namespace = namespace
	np.Spec.PodSelector = *rapid.SampledFrom(selectors).Draw(t, "for")
	return np
}
