package address

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// The pools of the cluster's own ranges.
const (
	DefaultIPv4 = "default-ipv4"
	DefaultIPv6 = "default-ipv6"
)

// Nodes says on which nodes a pod can have its addresses, as far as pools are
// bound to nodes; nil means on all. A pod whose annotations cannot be read may go
// anywhere: who grants the addresses tells.
func Nodes(pod *corev1.Pod, namespace *corev1.Namespace, pools map[string]*spiderpoolv2beta1.SpiderIPPool, nic string) func(*corev1.Node) bool {
	if pod.Spec.HostNetwork || !bound(pools) {
		return nil
	}
	wish, err := Wish(pod.Annotations, namespace.Annotations, nic, 0)
	if err != nil {
		return nil
	}
	network := ""
	if selected, err := attachment.Selected(pod.Annotations, pod.Namespace); err == nil && len(selected) > 0 && selected[0].Interface == nic {
		if network = selected[0].Network.String(); wish == nil {
			return nil // its definition says which pools
		}
	}
	wanted := map[Family]Names{}
	for f, own := range map[Family]string{IPv4: DefaultIPv4, IPv6: DefaultIPv6} {
		if pools[own] == nil {
			continue // not a family of this cluster
		}
		if names, named := wish[f]; named {
			wanted[f] = names
		} else if wish == nil {
			wanted[f] = defaults(f, pools)
		}
	}
	return func(node *corev1.Node) bool {
		who := Asker{
			PodLabels: pod.Labels, Namespace: namespace.Name, NamespaceLabels: namespace.Labels,
			Node: node.Name, NodeLabels: node.Labels, Network: network,
		}
		for f, names := range wanted {
			if chosen, _ := Choose(names, f, pools, who); len(chosen) == 0 {
				return false
			}
		}
		return true
	}
}

// bound reports whether any pool is for some nodes only.
func bound(pools map[string]*spiderpoolv2beta1.SpiderIPPool) bool {
	for _, p := range pools {
		if len(p.Spec.NodeName) > 0 || p.Spec.NodeAffinity != nil {
			return true
		}
	}
	return false
}

func defaults(f Family, pools map[string]*spiderpoolv2beta1.SpiderIPPool) Names {
	var out Names
	for name, p := range pools {
		if ptr.Deref(p.Spec.Default, false) && family(p) == f {
			out.Names = append(out.Names, name)
		}
	}
	return out
}
