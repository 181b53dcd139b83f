package defaults

import (
	"net/netip"

	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// SpiderIPPool fills a pool: its IP version follows from its subnet.
func SpiderIPPool(p *spiderpoolv2beta1.SpiderIPPool) {
	ipVersion(&p.Spec.IPVersion, p.Spec.Subnet)
	fill(&p.Spec.Default, false)
	fill(&p.Spec.Disable, false)
}

// SpiderSubnet fills a subnet: its IP version follows from its range.
func SpiderSubnet(s *spiderpoolv2beta1.SpiderSubnet) { ipVersion(&s.Spec.IPVersion, s.Spec.Subnet) }

func ipVersion(version **int64, subnet string) {
	if prefix, err := netip.ParsePrefix(subnet); err == nil && *version == nil {
		*version = ptr.To(int64(address.FamilyOf(prefix.Addr())))
	}
}

// SpiderReservedIP fills reserved addresses: their IP version follows from the first.
func SpiderReservedIP(r *spiderpoolv2beta1.SpiderReservedIP) {
	if r.Spec.IPVersion != nil || len(r.Spec.IPs) == 0 {
		return
	}
	if span, err := address.ParseSpan(r.Spec.IPs[0]); err == nil {
		r.Spec.IPVersion = ptr.To(int64(address.FamilyOf(span.First)))
	}
}

// SpiderCoordinator fills a coordinator.
func SpiderCoordinator(c *spiderpoolv2beta1.SpiderCoordinator) { coordinator(&c.Spec) }

func coordinator(s *spiderpoolv2beta1.CoordinatorSpec) {
	fill(&s.Mode, "auto")
	fill(&s.TunePodRoutes, true)
	fill(&s.HostRuleTable, 500)
	fill(&s.PodRPFilter, 0)
	fill(&s.TxQueueLen, 0)
	fill(&s.PodMACPrefix, "")
	fill(&s.PodDefaultRouteNIC, "")
	fill(&s.VethLinkAddress, "")
	fill(&s.VethMTU, 1500)
}

// SpiderMultusConfig fills a network.
func SpiderMultusConfig(c *spiderpoolv2beta1.SpiderMultusConfig) {
	s := &c.Spec
	fill(&s.CniType, "custom")
	fill(&s.EnableCoordinator, true)
	fill(&s.DisableIPAM, false)
	if *s.CniType == "custom" {
		s.EnableCoordinator = ptr.To(false)
		fill(&s.CustomCNIConfig, "")
	}
	if m := s.MacvlanConfig; m != nil {
		fill(&m.VlanID, 0)
		fill(&m.MTU, 0)
		onMaster(m.Bond, &m.SpiderpoolConfigPools)
	}
	if i := s.IPVlanConfig; i != nil {
		fill(&i.VlanID, 0)
		fill(&i.MTU, 0)
		onMaster(i.Bond, &i.SpiderpoolConfigPools)
	}
	if v := s.VlanConfig; v != nil {
		fill(&v.VlanMode, "manual")
		fill(&v.MTU, 0)
		onMaster(v.Bond, &v.SpiderpoolConfigPools)
	}
	if v := s.SriovConfig; v != nil {
		fill(&v.VlanID, 0)
		fill(&v.MTU, 0)
		fill(&v.MinTxRateMbps, 0)
		fill(&v.MaxTxRateMbps, 0)
		fill(&v.RdmaIsolation, false)
		onMaster(nil, &v.SpiderpoolConfigPools)
	}
	if v := s.IbSriovConfig; v != nil {
		fill(&v.Pkey, "")
		fill(&v.LinkState, "enable")
		fill(&v.RdmaIsolation, true)
		fill(&v.IbKubernetesEnabled, false)
		onMaster(nil, &v.SpiderpoolConfigPools)
	}
	if v := s.IpoibConfig; v != nil {
		onMaster(nil, &v.SpiderpoolConfigPools)
	}
	if v := s.OvsConfig; v != nil {
		fill(&v.VlanTag, 0)
		onMaster(nil, &v.SpiderpoolConfigPools)
	}
	if s.CoordinatorConfig == nil {
		s.CoordinatorConfig = &spiderpoolv2beta1.CoordinatorSpec{}
	}
	coordinator(s.CoordinatorConfig)
}

func onMaster(bond *spiderpoolv2beta1.BondConfig, pools **spiderpoolv2beta1.SpiderpoolPools) {
	if bond != nil {
		fill(&bond.Options, "")
	}
	if *pools == nil {
		*pools = &spiderpoolv2beta1.SpiderpoolPools{}
	}
	fill(&(*pools).MatchMasterSubnet, false)
}

// fill sets what is unset.
func fill[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}
