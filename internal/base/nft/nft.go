// Package nft is what our nftables tables have in common: each belongs to one
// part of the network, which owns it alone and replaces it as a whole when it starts.
package nft

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

// socketBuffer holds a transaction of many thousand elements.
const socketBuffer = 16 << 20

// Connect opens a connection for many transactions; CloseLasting ends it.
func Connect() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer))
	}))
	if err != nil {
		return nil, fmt.Errorf("nftables: %w; the kernel needs nf_tables", err)
	}
	return conn, nil
}

// Replace begins a table anew, with the next Flush.
func Replace(conn *nftables.Conn, t *nftables.Table) {
	drop(conn, t)
	conn.AddTable(t)
}

// Remove deletes the tables of a name; it is no error if there are none.
func Remove(name string, families ...nftables.TableFamily) error {
	conn, err := Connect()
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseLasting() }()
	for _, f := range families {
		drop(conn, &nftables.Table{Family: f, Name: name})
	}
	return conn.Flush()
}

func drop(conn *nftables.Conn, t *nftables.Table) {
	conn.AddTable(t) // so that deleting it cannot fail
	conn.DelTable(t)
}

// batch is how many elements one message holds: at most 64 KiB of attributes.
const batch = 400

// Elements adds or deletes (as do says) a set's elements, however many.
func Elements(do func(*nftables.Set, []nftables.SetElement) error, set *nftables.Set, elements []nftables.SetElement) error {
	for len(elements) > 0 {
		n := min(len(elements), batch)
		if err := do(set, elements[:n]); err != nil {
			return err
		}
		elements = elements[n:]
	}
	return nil
}

// Address loads an address of size bytes from a packet's header.
func Address(reg, offset, size uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}
}

// Within matches an address of the header inside (or outside) a prefix, by way of
// a register.
func Within(reg, offset uint32, p netip.Prefix, inside bool) []expr.Any {
	size := uint32(p.Addr().BitLen() / 8)
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	op := expr.CmpOpEq
	if !inside {
		op = expr.CmpOpNeq
	}
	return []expr.Any{
		Address(reg, offset, size),
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: reg, Data: p.Masked().Addr().AsSlice()},
	}
}

// Pad fills a part of a key to a register's four bytes.
func Pad(b []byte) []byte {
	out := make([]byte, 4)
	copy(out, b)
	return out
}
