package columns

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// appNamespaceLabel is what a pool for one application selects by.
const appNamespaceLabel = "ipam.spidernet.io/app-namespace"

// SpiderIPPool is the header of address pools.
var SpiderIPPool = definitions{
	name(),
	column("Version", "string", "ipVersion"),
	column("Subnet", "string", "subnet"),
	column("Allocated-IP-Count", "integer", "allocatedIPCount"),
	column("Total-IP-Count", "integer", "totalIPCount"),
	column("Default", "boolean", "default"),
	spiderWide("Disable", "boolean"),
	spiderWide("NodeName", "string"),
	spiderWide("MultusName", "string"),
	spiderWide("APP-Namespace", "string"),
}

// spiderWide is a column of the priority that the project gives its own.
func spiderWide(name, kind string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: kind, Priority: 10}
}

// SpiderIPPoolRow prints an address pool.
func SpiderIPPoolRow(p *spiderpoolv2beta1.SpiderIPPool) []any {
	s := &p.Spec
	app := ""
	if s.PodAffinity != nil {
		app = s.PodAffinity.MatchLabels[appNamespaceLabel]
	}
	return []any{
		p.Name, value(s.IPVersion), s.Subnet, value(p.Status.AllocatedIPCount), value(p.Status.TotalIPCount), value(s.Default),
		value(s.Disable), strings.Join(s.NodeName, ","), strings.Join(s.MultusName, ","), app,
	}
}

func value[T any](p *T) any {
	var v T
	if p != nil {
		v = *p
	}
	return v
}

// SpiderEndpoint is the header of the addresses of pods.
var SpiderEndpoint = definitions{
	name(),
	column("Interface", "string", "interface"),
	column("IPv4Pool", "string", "ipv4Pool"),
	column("IPv4", "string", "ipv4"),
	column("IPv6Pool", "string", "ipv6Pool"),
	column("IPv6", "string", "ipv6"),
	column("Node", "string", "node"),
}

// SpiderEndpointRow prints the addresses of a pod.
func SpiderEndpointRow(e *spiderpoolv2beta1.SpiderEndpoint) []any {
	var first spiderpoolv2beta1.IPAllocationDetail
	if ips := e.Status.Current.IPs; len(ips) > 0 {
		first = ips[0]
	}
	return []any{e.Name, first.NIC, first.IPv4Pool, first.IPv4, first.IPv6Pool, first.IPv6, e.Status.Current.Node}
}

// SpiderSubnet is the header of subnets.
var SpiderSubnet = definitions{
	name(),
	column("Version", "string", "ipVersion"),
	column("Subnet", "string", "subnet"),
	column("Allocated-IP-Count", "integer", "allocatedIPCount"),
	column("Total-IP-Count", "integer", "totalIPCount"),
}

// SpiderSubnetRow prints a subnet.
func SpiderSubnetRow(s *spiderpoolv2beta1.SpiderSubnet) []any {
	return []any{s.Name, value(s.Spec.IPVersion), s.Spec.Subnet, value(s.Status.AllocatedIPCount), value(s.Status.TotalIPCount)}
}

// SpiderReservedIP is the header of reserved addresses.
var SpiderReservedIP = definitions{name(), column("Version", "string", "ipVersion")}

// SpiderReservedIPRow prints reserved addresses.
func SpiderReservedIPRow(r *spiderpoolv2beta1.SpiderReservedIP) []any {
	return []any{r.Name, value(r.Spec.IPVersion)}
}
