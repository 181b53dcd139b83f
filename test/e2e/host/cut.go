package host

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Cut drops what goes over a TCP port of the host's network, both ways, until
// Mend: what is connected stays so, and hears nothing.
func (h *Host) Cut(port uint16) {
	h.t.Helper()
	h.rules(func(c *nftables.Conn) {
		table := c.AddTable(&nftables.Table{Name: "cut", Family: nftables.TableFamilyINet})
		for name, hook := range map[string]*nftables.ChainHook{"in": nftables.ChainHookInput, "out": nftables.ChainHookOutput} {
			chain := c.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter})
			for _, offset := range []uint32{0, 2} { // where it comes from, where it goes
				c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
					&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
					&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
					&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
					&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
					&expr.Verdict{Kind: expr.VerdictDrop},
				}})
			}
		}
	})
}

// Mend ends Cut.
func (h *Host) Mend() {
	h.t.Helper()
	h.rules(func(c *nftables.Conn) { c.DelTable(&nftables.Table{Name: "cut", Family: nftables.TableFamilyINet}) })
}

func (h *Host) rules(change func(*nftables.Conn)) {
	h.t.Helper()
	ns, err := netns.GetFromPid(h.pid)
	h.must(err)
	defer ns.Close()
	c, err := nftables.New(nftables.WithNetNSFd(int(ns)))
	h.must(err)
	change(c)
	h.must(c.Flush())
}
