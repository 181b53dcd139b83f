package address

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Asker is who wants addresses, as far as pools care.
type Asker struct {
	PodLabels       map[string]string
	Namespace       string
	NamespaceLabels map[string]string
	Node            string
	NodeLabels      map[string]string
	// Network is the attachment ("namespace/name") of the interface, if it has one.
	Network string
}

// Names are pools of one family, which may have wildcards; Listed says that a user
// gave them, in the order of use.
type Names struct {
	Names  []string
	Listed bool
}

// rank is how closely a pool is bound to who asks; the closest comes first among
// those that no user has put in an order.
func rank(s *spiderpoolv2beta1.IPPoolSpec) int {
	switch {
	case s.PodAffinity != nil:
		return 0
	case len(s.NodeName) > 0:
		return 1
	case s.NodeAffinity != nil:
		return 2
	case len(s.NamespaceName) > 0:
		return 3
	case s.NamespaceAffinity != nil:
		return 4
	case len(s.MultusName) > 0:
		return 5
	}
	return 6
}

// Choose puts the pools of one family that may be used in the order of use, and
// says why the others may not.
func Choose(names Names, f Family, pools map[string]*spiderpoolv2beta1.SpiderIPPool, who Asker) (chosen, refused []string) {
	for _, name := range expand(names, f, pools) {
		p := pools[name]
		why := ""
		switch {
		case p == nil:
			why = "there is no such pool"
		case family(p) != f:
			why = fmt.Sprintf("it is IPv%d", family(p))
		default:
			why = forbids(&p.Spec, who)
		}
		if why != "" {
			refused = append(refused, name+": "+why)
			continue
		}
		chosen = append(chosen, name)
	}
	return chosen, refused
}

func family(p *spiderpoolv2beta1.SpiderIPPool) Family {
	if v := p.Spec.IPVersion; v != nil {
		return Family(*v)
	}
	subnet, err := netip.ParsePrefix(p.Spec.Subnet)
	if err != nil {
		return 0
	}
	return FamilyOf(subnet.Addr())
}

// expand replaces wildcards by the pools that match, each pool once.
func expand(names Names, f Family, pools map[string]*spiderpoolv2beta1.SpiderIPPool) []string {
	var out []string
	for _, name := range names.Names {
		if !strings.ContainsAny(name, "*?[") {
			out = append(out, name)
			continue
		}
		var matching []string
		for have, p := range pools {
			if ok, err := path.Match(name, have); err == nil && ok && family(p) == f {
				matching = append(matching, have)
			}
		}
		slices.Sort(matching)
		byRank(matching, pools)
		if len(matching) == 0 {
			matching = []string{name}
		}
		out = append(out, matching...)
	}
	if !names.Listed {
		byRank(out, pools)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(name string) bool {
		was := seen[name]
		seen[name] = true
		return was
	})
}

func byRank(names []string, pools map[string]*spiderpoolv2beta1.SpiderIPPool) {
	slices.SortStableFunc(names, func(a, b string) int {
		x, y := 7, 7
		if p := pools[a]; p != nil {
			x = rank(&p.Spec)
		}
		if p := pools[b]; p != nil {
			y = rank(&p.Spec)
		}
		return x - y
	})
}

// forbids says why a pool is not for who asks, or "".
func forbids(s *spiderpoolv2beta1.IPPoolSpec, who Asker) string {
	switch {
	case len(s.NodeName) > 0 && !slices.Contains(s.NodeName, who.Node):
		return fmt.Sprintf("its nodeName does not name node %s", who.Node)
	case len(s.NodeName) == 0 && !selects(s.NodeAffinity, who.NodeLabels):
		return fmt.Sprintf("its nodeAffinity does not match node %s", who.Node)
	case len(s.NamespaceName) > 0 && !slices.Contains(s.NamespaceName, who.Namespace):
		return fmt.Sprintf("its namespaceName does not name namespace %s", who.Namespace)
	case len(s.NamespaceName) == 0 && !selects(s.NamespaceAffinity, who.NamespaceLabels):
		return fmt.Sprintf("its namespaceAffinity does not match namespace %s", who.Namespace)
	case !selects(s.PodAffinity, who.PodLabels):
		return "its podAffinity does not match the pod"
	case len(s.MultusName) > 0 && !slices.ContainsFunc(s.MultusName, func(name string) bool { return isNetwork(name, who.Network) }):
		return fmt.Sprintf("its multusName does not name the pod's network %q", who.Network)
	}
	return ""
}

// isNetwork: a name without a namespace is one of the system's.
func isNetwork(name, network string) bool {
	return network != "" && (name == network || "kube-system/"+name == network)
}

// selects is true for no selector at all.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	if selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}
