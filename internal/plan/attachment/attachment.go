// Package attachment says which NetworkAttachmentDefinition describes the
// network of a SpiderMultusConfig.
package attachment

import (
	"encoding/json"
	"fmt"

	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// The annotations of a SpiderMultusConfig, and of a definition.
const (
	nameAnnotation    = "multus.spidernet.io/cr-name"
	versionAnnotation = "multus.spidernet.io/cni-version"
	defaultVersion    = "0.3.1"
)

// Name is the name of the definition.
func Name(c *spiderpoolv2beta1.SpiderMultusConfig) string {
	if name := c.Annotations[nameAnnotation]; name != "" {
		return name
	}
	return c.Name
}

// vethMTU is that of the wire to the node where nobody says another.
const vethMTU = 1500

// plugin is one CNI configuration.
type plugin map[string]any

// Config is the CNI configuration list of the definition. It is empty where a
// custom network has none: the node's own is meant then.
func Config(c *spiderpoolv2beta1.SpiderMultusConfig) (string, error) {
	s := &c.Spec
	plugins, err := first(s)
	if err != nil || plugins == nil {
		return ptr.Deref(s.CustomCNIConfig, ""), err
	}
	if last := plugins[len(plugins)-1]; last["ipam"] == nil {
		delete(last, "ipam")
	}
	if ptr.Deref(s.EnableCoordinator, true) {
		plugins = append(plugins, coordinator(s.CoordinatorConfig))
	}
	for i, text := range s.ChainCNIJsonData {
		var chained plugin
		if err := json.Unmarshal([]byte(text), &chained); err != nil {
			return "", fmt.Errorf("spec.chainCNIJsonData[%d]: %w", i, err)
		}
		plugins = append(plugins, chained)
	}
	version := c.Annotations[versionAnnotation]
	if version == "" {
		version = defaultVersion
	}
	text, err := json.Marshal(plugin{"cniVersion": version, "name": Name(c), "plugins": plugins})
	return string(text), err
}

// first are the plugins that make the interface; none for a custom network.
func first(s *spiderpoolv2beta1.MultusCNIConfigSpec) ([]plugin, error) {
	noIPAM := ptr.Deref(s.DisableIPAM, false)
	switch cniType := ptr.Deref(s.CniType, "custom"); {
	case cniType == "macvlan" && s.MacvlanConfig != nil:
		c := s.MacvlanConfig
		return onMaster(plugin{"type": "macvlan", "mode": "bridge", "ipam": pools(c.SpiderpoolConfigPools, noIPAM)},
			c.Master, c.VlanID, c.MTU, c.Bond), nil
	case cniType == "ipvlan" && s.IPVlanConfig != nil:
		c := s.IPVlanConfig
		return onMaster(plugin{"type": "ipvlan", "mode": "l2", "ipam": pools(c.SpiderpoolConfigPools, noIPAM)},
			c.Master, c.VlanID, c.MTU, c.Bond), nil
	case cniType == "vlan" && s.VlanConfig != nil:
		c := s.VlanConfig
		conf := plugin{"type": "vlan", "vlanId": ptr.Deref(c.VlanID, 0), "ipam": pools(c.SpiderpoolConfigPools, noIPAM)}
		return onMaster(conf, c.Master, nil, c.MTU, c.Bond), nil
	case cniType == "sriov" && s.SriovConfig != nil:
		c := s.SriovConfig
		conf := plugin{"type": "sriov", "ipam": pools(c.SpiderpoolConfigPools, noIPAM)}
		number(conf, "vlan", c.VlanID)
		return []plugin{conf}, nil
	case cniType == "ib-sriov" && s.IbSriovConfig != nil:
		c := s.IbSriovConfig
		return []plugin{{
			"type": "ib-sriov", "pkey": ptr.Deref(c.Pkey, ""), "link_state": ptr.Deref(c.LinkState, "enable"),
			"rdmaIsolation": ptr.Deref(c.RdmaIsolation, true), "ibKubernetesEnabled": ptr.Deref(c.IbKubernetesEnabled, false),
			"ipam": pools(c.SpiderpoolConfigPools, noIPAM),
		}}, nil
	case cniType == "ipoib" && s.IpoibConfig != nil:
		c := s.IpoibConfig
		return []plugin{{"type": "ipoib", "master": c.Master, "ipam": pools(c.SpiderpoolConfigPools, noIPAM)}}, nil
	case cniType == "ovs" && s.OvsConfig != nil:
		c := s.OvsConfig
		conf := plugin{"type": "ovs", "bridge": c.BrName, "ipam": pools(c.SpiderpoolConfigPools, noIPAM)}
		number(conf, "vlan", c.VlanTag)
		if len(c.Trunk) > 0 {
			conf["trunk"] = c.Trunk
		}
		if c.DeviceID != "" {
			conf["deviceID"] = c.DeviceID
		}
		return []plugin{conf}, nil
	case cniType != "custom":
		return nil, fmt.Errorf("cniType %s lacks its configuration", cniType)
	}
	return nil, nil
}

// onMaster completes a plugin whose interface belongs to one of the node's. A
// VLAN or a bond of the master is made before it.
func onMaster(conf plugin, master []string, vlan, mtu *int32, bond *spiderpoolv2beta1.BondConfig) []plugin {
	var before []plugin
	name := ""
	if len(master) > 0 {
		name = master[0]
	}
	id := ptr.Deref(vlan, 0)
	if len(master) > 1 || id != 0 {
		made := plugin{"type": "ifacer", "interfaces": master, "vlanID": id}
		if len(master) > 1 && bond != nil {
			made["bond"] = bond
			name = bond.Name
		}
		before = append(before, made)
	}
	if id != 0 {
		name = fmt.Sprintf("%s.%d", name, id)
	}
	conf["master"] = name
	number(conf, "mtu", mtu)
	return append(before, conf)
}

func number(conf plugin, key string, value *int32) {
	if v := ptr.Deref(value, 0); v != 0 {
		conf[key] = v
	}
}

// pools is the ipam block: an address of the pools that are named, if any are.
func pools(named *spiderpoolv2beta1.SpiderpoolPools, disabled bool) any {
	if disabled {
		return nil
	}
	conf := plugin{"type": "spiderpool"}
	if named != nil && len(named.IPv4IPPool) > 0 {
		conf["default_ipv4_ippool"] = named.IPv4IPPool
	}
	if named != nil && len(named.IPv6IPPool) > 0 {
		conf["default_ipv6_ippool"] = named.IPv6IPPool
	}
	return conf
}

// coordinator is the plugin that joins the interface to the cluster, with what
// differs from the cluster's SpiderCoordinator.
func coordinator(c *spiderpoolv2beta1.CoordinatorSpec) plugin {
	conf := plugin{"type": "coordinator"}
	if c == nil {
		return conf
	}
	if mode := ptr.Deref(c.Mode, "auto"); mode != "auto" {
		conf["mode"] = mode
	}
	if len(c.HijackCIDR) > 0 {
		conf["hijackCIDR"] = c.HijackCIDR
	}
	if prefix := ptr.Deref(c.PodMACPrefix, ""); prefix != "" {
		conf["podMACPrefix"] = prefix
	}
	if nic := ptr.Deref(c.PodDefaultRouteNIC, ""); nic != "" {
		conf["podDefaultRouteNic"] = nic
	}
	if n := ptr.Deref(c.PodRPFilter, 0); n != 0 {
		conf["podRPFilter"] = n
	}
	if n := ptr.Deref(c.TxQueueLen, 0); n != 0 {
		conf["txQueueLen"] = n
	}
	if n := ptr.Deref(c.VethMTU, vethMTU); n != vethMTU {
		conf["vethMTU"] = n
	}
	if a := ptr.Deref(c.VethLinkAddress, ""); a != "" {
		conf["vethLinkAddress"] = a
	}
	if c.DetectIPConflict != nil {
		conf["detectIPConflict"] = *c.DetectIPConflict
	}
	if c.DetectGateway != nil {
		conf["detectGateway"] = *c.DetectGateway
	}
	if !ptr.Deref(c.TunePodRoutes, true) {
		conf["tunePodRoutes"] = false
	}
	return conf
}
