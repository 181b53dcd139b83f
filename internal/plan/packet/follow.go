package packet

import "net/netip"

// Origin is where a packet comes from.
type Origin uint8

// Pods' addresses are those of the cluster's range.
const (
	FromPod Origin = iota
	FromNode
	FromOutside
)

// Packet is the first one of a connection.
type Packet struct {
	Origin Origin
	From   netip.Addr
	To     Front
	// ToNode says that To.Addr is one of the node's own addresses.
	ToNode bool
}

// Fate is what becomes of a packet: to an endpoint, refused, dropped, or (none
// of these) on its way unchanged.
type Fate struct {
	To               Back
	Sent             bool
	Masqueraded      bool
	Refused, Dropped bool
}

// Follow says where a packet goes, as the kernel's rules would. draw picks a
// number below n; stuck is the endpoint the client has been sent to before.
func (e Elements) Follow(p Packet, draw func(n int) int, stuck Back) Fate {
	fronts := []Front{p.To}
	if p.ToNode {
		fronts = append(fronts, Front{anyAddr(p.To.Addr.Is6()), p.To.Protocol, p.To.Port})
	}
	if _, guarded := e.Guarded[p.To]; guarded && !e.admits(p) {
		return Fate{Dropped: true}
	}
	for _, front := range fronts {
		d, ok := e.Outside[front]
		if ok && p.Origin == FromOutside {
			if d.Endpoints == 0 {
				return e.unserved(front)
			}
			return e.send(p, front, d, FarNumbers, draw, stuck)
		}
		split := ok
		if d, ok = e.Fronts[front]; ok {
			fate := e.send(p, front, d, 0, draw, stuck)
			fate.Masqueraded = fate.Masqueraded || split && p.Origin == FromNode
			return fate
		}
		if fate := e.unserved(front); fate != (Fate{}) {
			return fate
		}
	}
	return Fate{}
}

func (e Elements) admits(p Packet) bool {
	for a := range e.Admitted {
		if a.Front == p.To && a.From.Contains(p.From) {
			return true
		}
	}
	return false
}

func (e Elements) send(p Packet, front Front, d Draw, first uint32, draw func(n int) int, stuck Back) Fate {
	back := e.Entries[Entry{front, first + uint32(draw(d.Endpoints))}]
	if _, still := e.Members[Member{front, stuck}]; still && d.Sticky > 0 {
		back = stuck
	}
	return Fate{To: back, Sent: true, Masqueraded: d.Masquerade || back.Addr == p.From && e.Hairpin[p.From] > 0}
}

func (e Elements) unserved(front Front) Fate {
	v, ok := e.Unserved[front]
	return Fate{Refused: ok && v == Refuse, Dropped: ok && v == Drop}
}
