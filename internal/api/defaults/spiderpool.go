package defaults

import (
	"net/netip"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// SpiderIPPool fills a pool: its IP version follows from its subnet.
func SpiderIPPool(p *spiderpoolv2beta1.SpiderIPPool) {
	subnet, err := netip.ParsePrefix(p.Spec.Subnet)
	if err != nil || p.Spec.IPVersion != nil {
		return
	}
	p.Spec.IPVersion = new(int64(6))
	if subnet.Addr().Is4() {
		*p.Spec.IPVersion = 4
	}
}
