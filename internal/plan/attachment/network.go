package attachment

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// ResolvedAnnotation is what a SpiderEndpoint says about the interfaces of its pod
// that are in networks of the machine: all that a node needs to make them.
const ResolvedAnnotation = "berth.dev/networks"

// Attachment is one interface in a network of the machine.
type Attachment struct {
	Network      string `json:"network"`
	Interface    string `json:"interface"`
	MAC          string `json:"mac,omitempty"`
	DefaultRoute bool   `json:"defaultRoute,omitempty"`
	// Pooled says that its addresses are those of the SpiderEndpoint; else the
	// plugins look after that.
	Pooled  bool             `json:"pooled,omitempty"`
	Version string           `json:"cniVersion"`
	Plugins []map[string]any `json:"plugins"`
	// DetectConflict has the pod wait until its addresses are known to be free, and
	// DetectGateway until its gateways are known to be there.
	DetectConflict bool `json:"detectConflict,omitempty"`
	DetectGateway  bool `json:"detectGateway,omitempty"`
	// Join says how the pod reaches its node and the services; nil leaves that out.
	Join *Join `json:"join,omitempty"`
}

// Join is what a coordinator's settings mean here.
type Join struct {
	To         []string `json:"to,omitempty"`  // further destinations by way of the node
	MTU        int      `json:"mtu,omitempty"` // of the wire to the node
	RPFilter   int      `json:"rpFilter"`
	TxQueueLen int      `json:"txQueueLen,omitempty"`
	// LinkAddress is an address of the wire's end in the pod, for those who redirect
	// what comes in by it.
	LinkAddress string `json:"linkAddress,omitempty"`
	// Tables gives each interface a routing table, so that what comes in by it is
	// answered by it.
	Tables bool `json:"tables,omitempty"`
}

// Network is a definition, read.
type Network struct {
	Version string
	Plugins []map[string]any
	Pooled  bool
	// IPv4 and IPv6 are the pools that it names.
	IPv4, IPv6 []string
	// joined is what the definition says of the coordinator, nil if nothing.
	joined map[string]any
}

// elsewhere are Spiderpool's plugins that need something that no node has.
var elsewhere = map[string]string{
	"sriov":        "virtual functions of network cards are not handed out here",
	"ib-sriov":     "virtual functions of InfiniBand cards are not handed out here",
	"ib-sriov-cni": "virtual functions of InfiniBand cards are not handed out here",
	"ipoib":        "there is no plugin for IP over InfiniBand here",
	"ovs":          "there is no Open vSwitch here",
	"ifacer":       "interfaces of the node are not made for a network; make the VLAN or the bond on the node and name it as master",
}

// Refused says why nobody can have an interface of a plugin's type, or "".
func Refused(plugin string) string { return elsewhere[plugin] }

// Read reads the configuration of a definition.
func Read(config string) (Network, error) {
	var conf map[string]any
	if strings.TrimSpace(config) == "" {
		return Network{}, fmt.Errorf("it has no spec.config; configurations on a node's disk are not read")
	}
	if err := json.Unmarshal([]byte(config), &conf); err != nil {
		return Network{}, fmt.Errorf("spec.config: %w", err)
	}
	n := Network{Version: "0.2.0"}
	if v, ok := conf["cniVersion"].(string); ok && v != "" {
		n.Version = v
	}
	plugins := []any{conf}
	if chain, ok := conf["plugins"]; ok {
		if plugins, ok = chain.([]any); !ok {
			return Network{}, fmt.Errorf("spec.config: plugins is not a list")
		}
	}
	for i, one := range plugins {
		plugin, ok := one.(map[string]any)
		kind, _ := plugin["type"].(string)
		if !ok || kind == "" || strings.ContainsAny(kind, "/ ") {
			return Network{}, fmt.Errorf("spec.config: plugin %d has no type", i)
		}
		if kind == "coordinator" {
			n.joined = plugin
			continue
		}
		if why := Refused(kind); why != "" {
			return Network{}, fmt.Errorf("plugin %s: %s", kind, why)
		}
		if err := n.pools(plugin); err != nil {
			return Network{}, err
		}
		n.Plugins = append(n.Plugins, plugin)
	}
	if len(n.Plugins) == 0 {
		return Network{}, fmt.Errorf("spec.config names no plugin that makes an interface")
	}
	return n, nil
}

// pools takes a plugin's ipam block out if its addresses are ours.
func (n *Network) pools(plugin map[string]any) error {
	block, ok := plugin["ipam"].(map[string]any)
	if !ok || block["type"] != "spiderpool" {
		return nil
	}
	n.Pooled = true
	for key, into := range map[string]*[]string{"default_ipv4_ippool": &n.IPv4, "default_ipv6_ippool": &n.IPv6} {
		list, _ := block[key].([]any)
		for _, one := range list {
			name, ok := one.(string)
			if !ok {
				return fmt.Errorf("spec.config: ipam: %s is not a list of names", key)
			}
			*into = append(*into, name)
		}
	}
	return nil
}

// Join says how a pod with an interface here is joined to the cluster: as the
// definition says, and where it says nothing as the cluster's coordinator does.
// nil leaves it alone.
func (n *Network) Join(cluster *spiderpoolv2beta1.CoordinatorSpec) *Join {
	if n.joined == nil {
		return nil
	}
	if cluster == nil {
		cluster = &spiderpoolv2beta1.CoordinatorSpec{}
	}
	mode := ptr.Deref(cluster.Mode, "auto")
	if own, ok := n.joined["mode"].(string); ok {
		mode = own
	}
	if mode == "disabled" {
		return nil
	}
	j := &Join{
		To: slices.Clone(cluster.HijackCIDR), MTU: ptr.Deref(cluster.VethMTU, 0), RPFilter: ptr.Deref(cluster.PodRPFilter, 0),
		TxQueueLen: ptr.Deref(cluster.TxQueueLen, 0), Tables: ptr.Deref(cluster.TunePodRoutes, true),
		LinkAddress: ptr.Deref(cluster.VethLinkAddress, ""),
	}
	for key, into := range map[string]*int{"vethMTU": &j.MTU, "podRPFilter": &j.RPFilter, "txQueueLen": &j.TxQueueLen} {
		if n, ok := n.joined[key].(float64); ok {
			*into = int(n)
		}
	}
	if a, ok := n.joined["vethLinkAddress"].(string); ok {
		j.LinkAddress = a
	}
	if tune, ok := n.joined["tunePodRoutes"].(bool); ok {
		j.Tables = tune
	}
	if list, ok := n.joined["hijackCIDR"].([]any); ok {
		j.To = nil
		for _, one := range list {
			if text, ok := one.(string); ok {
				j.To = append(j.To, text)
			}
		}
	}
	return j
}

// MAC is the hardware address of an interface: that which is asked for, or one
// made of the address, which stays as long as that does.
func (n *Network) MAC(asked string, addr netip.Addr, cluster *spiderpoolv2beta1.CoordinatorSpec) string {
	if asked != "" || !addr.IsValid() {
		return asked
	}
	prefix, _ := n.joined["podMACPrefix"].(string)
	if prefix == "" && cluster != nil && n.joined != nil {
		prefix = ptr.Deref(cluster.PodMACPrefix, "")
	}
	if prefix == "" {
		prefix = "0a:58"
	}
	b := addr.As16()
	return fmt.Sprintf("%s:%02x:%02x:%02x:%02x", strings.ToLower(prefix), b[12], b[13], b[14], b[15])
}

// DefaultNIC is the interface that a definition gives the default route to, or "".
func (n *Network) DefaultNIC(cluster *spiderpoolv2beta1.CoordinatorSpec) string {
	if nic, ok := n.joined["podDefaultRouteNic"].(string); ok {
		return nic
	}
	if cluster != nil && n.joined != nil {
		return ptr.Deref(cluster.PodDefaultRouteNIC, "")
	}
	return ""
}

// Resolved reads ResolvedAnnotation; most endpoints have none.
func Resolved(annotations map[string]string) ([]Attachment, error) {
	text := annotations[ResolvedAnnotation]
	if text == "" {
		return nil, nil
	}
	var out []Attachment
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", ResolvedAnnotation, err)
	}
	return out, nil
}
