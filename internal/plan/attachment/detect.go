package attachment

import (
	"fmt"
	"net/netip"

	"k8s.io/utils/ptr"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// TroubleCondition is the condition of a pod whose network is not as it should
// be; a pod that never had trouble has none.
const TroubleCondition = "berth.dev/NetworkReady"

// Reasons of that condition, and of events.
const (
	AddressConflict    = "AddressConflict"
	GatewayUnreachable = "GatewayUnreachable"
)

// Trouble is why a pod cannot have its network yet.
type Trouble struct{ Reason, Message string }

func (t *Trouble) Error() string { return t.Message }

// Questions are what is to be found out on the segment of an interface: nobody
// may have the addresses that are to be Free, and somebody has to have those that
// are to be There.
type Questions struct {
	Network, Interface string
	Free, There        []netip.Addr
}

// Questions are those about an attachment with what was granted for it.
func (a *Attachment) Questions(d *spiderpoolv2beta1.IPAllocationDetail) Questions {
	q := Questions{Network: a.Network, Interface: a.Interface}
	if !a.Pooled {
		return q
	}
	prefixes := Prefixes(d)
	if a.DetectConflict {
		for _, p := range prefixes {
			q.Free = append(q.Free, p.Addr())
		}
	}
	if a.DetectGateway {
		q.There = append(q.There, Gateways(d)...)
	}
	return q
}

// Held is the trouble that somebody has an address, or is about to take it.
func (q *Questions) Held(a netip.Addr, mac string, tentative bool) *Trouble {
	does := "has it"
	if tentative {
		does = "is about to take it"
	}
	return &Trouble{AddressConflict, fmt.Sprintf("address %s of interface %s is in use in network %s: %s %s; the pod waits until it is free", a, q.Interface, q.Network, mac, does)}
}

// Silent is the trouble that nobody has the address of a gateway.
func (q *Questions) Silent(gw netip.Addr) *Trouble {
	return &Trouble{GatewayUnreachable, fmt.Sprintf("gateway %s of interface %s does not answer in network %s; the pod waits until it does", gw, q.Interface, q.Network)}
}

// Detect says what is to be found out about pods of a network: as the definition
// says, and where it says nothing as the cluster's coordinator does. Whether an
// address is free is found out unless that is declined; whether a gateway is
// there, if that is asked for: pods can do without one for a while.
func (n *Network) Detect(cluster *spiderpoolv2beta1.CoordinatorSpec) (conflict, gateway bool) {
	conflict = true
	if cluster != nil {
		conflict, gateway = ptr.Deref(cluster.DetectIPConflict, true), ptr.Deref(cluster.DetectGateway, false)
	}
	if own, ok := n.joined["detectIPConflict"].(bool); ok {
		conflict = own
	}
	if own, ok := n.joined["detectGateway"].(bool); ok {
		gateway = own
	}
	return conflict, gateway
}
