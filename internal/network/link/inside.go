package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// firstTable is the routing table of a pod's first interface, in the pod.
const firstTable = 100

// Interface is one that a pod has, in the order of the pod's.
type Interface struct {
	Name     string
	Prefixes []netip.Prefix
	// Gateways are the next hops of its default routes, at most one of each family.
	Gateways []netip.Addr
	Routes   []Hop
	// Wire: its gateway is the node.
	Wire bool
}

// Hop is a route by one next hop.
type Hop struct {
	To netip.Prefix
	By netip.Addr
}

// Inside is how a pod with several interfaces, or one in a network of the
// machine, sends.
type Inside struct {
	NetNS      int
	Interfaces []Interface
	// Default is the interface of the default route.
	Default string
	// Cluster are what is reached by the node in any case.
	Cluster []netip.Prefix
	// Tables has answers leave by the interface that was asked.
	Tables bool
	// RPFilter is the pod's rp_filter, negative to leave it; TxQueueLen is that of
	// its interfaces, 0 to leave it.
	RPFilter, TxQueueLen int
}

// SetUpInside makes the routes of a pod. Repeating it changes nothing.
func SetUpInside(in Inside) error {
	pod, err := inside(in.NetNS)
	if err != nil {
		return err
	}
	defer pod.Close()
	for i := range in.Interfaces {
		if err := in.one(pod, i); err != nil {
			return fmt.Errorf("interface %s of the pod: %w", in.Interfaces[i].Name, err)
		}
	}
	if in.RPFilter < 0 {
		return nil
	}
	return Entering(in.NetNS, func() error {
		settings := []setting{{"ipv4/conf/all/rp_filter", fmt.Sprint(in.RPFilter)}}
		links, err := pod.LinkList()
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list the pod's interfaces: %w", err)
		}
		for _, l := range links {
			settings = append(settings, setting{"ipv4/conf/" + l.Attrs().Name + "/rp_filter", fmt.Sprint(in.RPFilter)})
		}
		return apply(settings)
	})
}

func (in *Inside) one(pod *netlink.Handle, i int) error {
	nic := &in.Interfaces[i]
	l, err := pod.LinkByName(nic.Name)
	if err != nil {
		return err
	}
	if in.TxQueueLen > 0 {
		if err := pod.LinkSetTxQLen(l, in.TxQueueLen); err != nil {
			return fmt.Errorf("queue length: %w", err)
		}
	}
	index, table := l.Attrs().Index, firstTable+i
	tables := []int{unix.RT_TABLE_MAIN} // where the interface's routes belong
	for _, p := range nic.Prefixes {
		a := p.Addr()
		gw := GatewayOf(a, nic)
		way := &netlink.Route{LinkIndex: index, Dst: anyOf(a), Gw: gw.AsSlice(), Family: familyOf(a)}
		if nic.Name == in.Default && gw.IsValid() {
			if err := pod.RouteReplace(way); err != nil {
				return fmt.Errorf("default route by %s: %w", gw, err)
			}
			continue
		}
		if nic.Wire { // it was made with the default route
			if err := leadTo(pod, index, in.Cluster, a); err != nil {
				return err
			}
			if err := pod.RouteDel(way); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("take the default route away: %w", err)
			}
		}
		if !in.Tables || !gw.IsValid() {
			continue
		}
		if err := answers(pod, index, table, p, gw, nic.Wire); err != nil {
			return err
		}
		tables = []int{unix.RT_TABLE_MAIN, table}
	}
	for _, hop := range nic.Routes {
		if nic.Wire {
			continue // all goes to the node
		}
		for _, in := range tables {
			r := &netlink.Route{LinkIndex: index, Dst: ipNet(hop.To), Gw: hop.By.AsSlice(), Table: in, Family: familyOf(hop.By)}
			if err := pod.RouteReplace(r); err != nil {
				return fmt.Errorf("route to %s by %s in table %d: %w", hop.To, hop.By, in, err)
			}
		}
	}
	return nil
}

// answers gives an interface a table of its own for what is sent with its address.
func answers(pod *netlink.Handle, index, table int, p netip.Prefix, gw netip.Addr, wire bool) error {
	a := p.Addr()
	near := &netlink.Route{LinkIndex: index, Dst: ipNet(p), Table: table, Family: familyOf(a)}
	if wire {
		near.Dst = full(gw)
	}
	if a.Is4() {
		near.Scope = netlink.SCOPE_LINK
	}
	if !wire || a.Is4() {
		if err := pod.RouteReplace(near); err != nil {
			return fmt.Errorf("route to %s in table %d: %w", near.Dst, table, err)
		}
	}
	far := &netlink.Route{LinkIndex: index, Dst: anyOf(a), Gw: gw.AsSlice(), Table: table, Family: familyOf(a)}
	if err := pod.RouteReplace(far); err != nil {
		return fmt.Errorf("default route by %s in table %d: %w", gw, table, err)
	}
	rule := netlink.NewRule()
	rule.Family, rule.Src, rule.Table, rule.Priority = familyOf(a), full(a), table, table
	if err := pod.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rule for what is sent from %s: %w", a, err)
	}
	return nil
}

// GatewayOf is the next hop of an interface for one of its addresses, if it has one.
func GatewayOf(a netip.Addr, nic *Interface) netip.Addr {
	if nic.Wire {
		return gatewayOf(a)
	}
	for _, gw := range nic.Gateways {
		if gw.Is4() == a.Is4() {
			return gw
		}
	}
	return netip.Addr{}
}

// leadTo leads to some destinations by the node, with one of the pod's addresses
// as source.
func leadTo(pod *netlink.Handle, index int, to []netip.Prefix, source netip.Addr) error {
	for _, p := range to {
		if p.Addr().Is4() != source.Is4() {
			continue
		}
		r := &netlink.Route{LinkIndex: index, Dst: ipNet(p), Gw: gatewayOf(source).AsSlice(), Src: source.AsSlice(), Family: familyOf(source)}
		err := pod.RouteReplace(r)
		if errors.Is(err, unix.EINVAL) { // the address comes later
			r.Src = nil
			err = pod.RouteReplace(r)
		}
		if err != nil {
			return fmt.Errorf("route to %s by the node: %w", p, err)
		}
	}
	return nil
}

// Facts are what an interface inside a pod is like.
type Facts struct {
	MAC   string
	MTU   int
	Up    bool
	Addrs []netip.Prefix
}

// Look looks at an interface in a pod.
func Look(netNS int, name string) (Facts, error) {
	pod, err := inside(netNS)
	if err != nil {
		return Facts{}, err
	}
	defer pod.Close()
	l, err := pod.LinkByName(name)
	if err != nil {
		return Facts{}, fmt.Errorf("interface %s of the pod: %w", name, err)
	}
	f := Facts{MAC: l.Attrs().HardwareAddr.String(), MTU: l.Attrs().MTU, Up: l.Attrs().Flags&unix.IFF_UP != 0}
	addrs, err := pod.AddrList(l, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return f, fmt.Errorf("addresses of interface %s of the pod: %w", name, err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok || ip.IsLinkLocalUnicast() {
			continue
		}
		f.Addrs = append(f.Addrs, netip.PrefixFrom(ip.Unmap(), ones(a.IPNet)))
	}
	return f, nil
}

// Exists reports whether this machine has an interface.
func Exists(name string) bool {
	_, err := netlink.LinkByName(name)
	return !isGone(err)
}

// Up reports whether this machine has an interface that is up.
func Up(name string) bool {
	l, err := netlink.LinkByName(name)
	return err == nil && l.Attrs().Flags&net.FlagUp != 0
}

// Own reports whether an address is this machine's.
func Own(a netip.Addr) (bool, error) {
	addrs, err := netlink.AddrList(nil, familyOf(a))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list the machine's addresses: %w", err)
	}
	for _, have := range addrs {
		if ip, ok := netip.AddrFromSlice(have.IP); ok && ip.Unmap() == a {
			return true, nil
		}
	}
	return false, nil
}

// Entering runs f on a thread in a network namespace; the thread ends with it.
func Entering(netNS int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: no other goroutine may run in there
		if err := unix.Setns(netNS, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the pod's network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Prepare readies a pod's namespace for interfaces in networks of the machine:
// whether their addresses are free is found out elsewhere, and sooner.
func Prepare(netNS int) error {
	return Entering(netNS, func() error { return apply([]setting{{"ipv6/conf/default/accept_dad", "0"}}) })
}
