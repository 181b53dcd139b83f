package netpolicy

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Cluster is all that a decision is made of.
type Cluster struct {
	Policies   []*networkingv1.NetworkPolicy
	Pods       []Pod
	Namespaces map[string]labels.Set
}

// Decide says what the policies mean for the local pods, without any memory: it is
// what a Book has to come to, whatever it went through.
func Decide(c Cluster) State {
	d := decision{Cluster: c, State: NewState(), byNamespace: map[string][]compiled{}, alike: map[string]profiles{}}
	for _, p := range c.Policies {
		if c, ok := compile(p); ok {
			d.byNamespace[p.Namespace] = append(d.byNamespace[p.Namespace], c)
		}
	}
	for i := range c.Pods {
		if c.Pods[i].Local {
			d.pod(&c.Pods[i])
		}
	}
	return d.State
}

type decision struct {
	Cluster
	State
	byNamespace map[string][]compiled
	// alike are the profiles of pods that policies cannot tell apart.
	alike map[string]profiles
}

// pod finds the profiles of one local pod.
func (d *decision) pod(pod *Pod) {
	if len(pod.Addresses) == 0 {
		return
	}
	kind := pod.kind()
	has, known := d.alike[kind]
	if !known {
		has = d.profiles(pod)
		d.alike[kind] = has
	}
	for _, a := range pod.Addresses {
		if has.in != "" {
			d.Ingress[a] = has.in
		}
		if has.out != "" {
			d.Egress[a] = has.out
		}
	}
}

func (d *decision) profiles(pod *Pod) (has profiles) {
	in, out, isolatedIn, isolatedOut := finder(d.set).termsFor(d.byNamespace[pod.Namespace], pod)
	if isolatedIn {
		has.in = d.profile(false, in)
	}
	if isolatedOut {
		has.out = d.profile(true, out)
	}
	return has
}

func (d *decision) profile(egress bool, terms []Term) string {
	name, p := profileOf(egress, terms)
	d.Profiles[name] = p
	return name
}

func (d *decision) set(namespace string, peer *networkingv1.NetworkPolicyPeer, p port) (string, bool) {
	name, c, ok := chosenBy(namespace, peer, p)
	if !ok || d.Sets[name] != nil {
		return name, ok
	}
	d.Sets[name] = map[Member]struct{}{}
	for i := range d.Pods {
		port, ok := c.has(&d.Pods[i], d.Namespaces[d.Pods[i].Namespace])
		for _, a := range d.Pods[i].Addresses {
			if ok {
				d.Sets[name][Member{a, port}] = struct{}{}
			}
		}
	}
	return name, true
}
