package address

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Record says which addresses the pod of one name holds. Records are values:
// a Held list is never changed in place.
type Record struct {
	Pod types.NamespacedName
	// UID and Node are those of the pod that holds the addresses now, or held
	// them last.
	UID  types.UID
	Node string
	Set  Set
	Held []Held
	// Retention is what the set said last about addresses that it needs no more.
	Retention Retention
}

// Held is one address.
type Held struct {
	NIC  string
	Addr netip.Addr
	Pool string
}

// Family is the family of the address.
func (h Held) Family() Family { return FamilyOf(h.Addr) }

// Set is the StatefulSet that a pod belongs to; zero for any other pod.
type Set struct {
	Name    string
	UID     types.UID
	Ordinal int
}

// held finds what r holds for one interface and family.
func (r *Record) held(nic string, f Family) (Held, bool) {
	i := slices.IndexFunc(r.Held, func(h Held) bool { return h.NIC == nic && h.Family() == f })
	if i < 0 {
		return Held{}, false
	}
	return r.Held[i], true
}

func (r *Record) equal(o *Record) bool {
	return r.Pod == o.Pod && r.UID == o.UID && r.Node == o.Node && r.Set == o.Set && r.Retention == o.Retention && slices.Equal(r.Held, o.Held)
}

// Ask is what one pod wants.
type Ask struct {
	Pod   types.NamespacedName
	UID   types.UID
	Node  string
	Set   Set
	Wants []Want
	// Retention goes into the record.
	Retention Retention
}

// Want asks for one address on one interface out of the first of Pools that
// has one free.
type Want struct {
	NIC    string
	Family Family
	Pools  []string
	// Refused says why other pools may not be used.
	Refused []string
	// Addr, if valid, is the only address that will do.
	Addr netip.Addr
	// Avoid are addresses that others are to have.
	Avoid []Span
}

// Conflict says that Pod claims an address that Holder has.
type Conflict struct {
	Addr        netip.Addr
	Pod, Holder types.NamespacedName
}
