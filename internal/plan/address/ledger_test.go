package address

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

func pod(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: name}
}

func mustPool(t interface{ Fatal(...any) }, name, subnet string, ips ...string) Pool {
	p, err := ParsePool(name, 0, subnet, ips, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(name, uid string, pools ...string) Ask {
	return Ask{
		Pod: pod(name), UID: types.UID(uid), Node: "n1",
		Wants: []Want{{NIC: "eth0", Family: IPv4, Pools: pools}},
	}
}

func TestStickyOverRecreation(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "p", "10.6.0.0/16", "10.6.168.101-10.6.168.103"))
	first, changed, err := l.Grant(ask("web-0", "u1", "p"))
	if err != nil || !changed || first.Held[0].Addr.String() != "10.6.168.101" {
		t.Fatal(first, changed, err)
	}
	if _, changed, _ := l.Grant(ask("web-0", "u1", "p")); changed {
		t.Error("the same pod was granted twice")
	}
	moved := ask("web-0", "u2", "p")
	moved.Node = "n2"
	again, changed, err := l.Grant(moved)
	if err != nil || !changed || again.Held[0] != first.Held[0] || again.UID != "u2" || again.Node != "n2" {
		t.Fatal(again, changed, err)
	}
}

func TestNextFreeLetsReleasedAddressesRest(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "p", "10.6.0.0/16", "10.6.0.1-10.6.0.4"))
	var got []string
	for i := range 6 {
		name := fmt.Sprint("job-", i)
		rec, _, err := l.Grant(ask(name, name, "p"))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec.Held[0].Addr.String())
		l.Release(pod(name))
	}
	want := "10.6.0.1 10.6.0.2 10.6.0.3 10.6.0.4 10.6.0.1 10.6.0.2"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestExhaustedNamesPoolsAndCounts(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "small", "10.6.0.0/16", "10.6.0.1-10.6.0.2"))
	off := mustPool(t, "off", "10.7.0.0/16", "10.7.0.1")
	off.Closed = true
	l.SetPool(off)
	for _, name := range []string{"a", "b"} {
		if _, _, err := l.Grant(ask(name, name, "small", "off")); err != nil {
			t.Fatal(err)
		}
	}
	_, changed, err := l.Grant(ask("c", "c", "small", "off"))
	want := "no IPv4 address is free: IPPool small has 2 of 2 addresses held; IPPool off is disabled or being deleted"
	var full *Exhausted
	if changed || !errors.As(err, &full) || err.Error() != want {
		t.Errorf("%v", err)
	}
	if _, ok := l.Record(pod("c")); ok {
		t.Error("a refused pod has a record")
	}
	_, _, err = l.Grant(ask("c", "c"))
	if err == nil || err.Error() != "no IPPool available for IPv4" {
		t.Error(err)
	}
	l.SetReserved([]Span{{netip.MustParseAddr("10.6.0.2"), netip.MustParseAddr("10.6.0.9")}})
	l.Release(pod("b"))
	_, _, err = l.Grant(ask("c", "c", "small"))
	if err == nil || !strings.Contains(err.Error(), "small has 1 of 2 addresses held, the other 1 reserved") {
		t.Error(err)
	}
}

func TestDualStackIsAllOrNothing(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "p4", "10.6.0.0/16", "10.6.0.1"))
	l.SetPool(mustPool(t, "p6", "fd00::/64", "fd00::1"))
	both := func(name string) Ask {
		a := ask(name, name, "p4")
		a.Wants = append(a.Wants, Want{NIC: "eth0", Family: IPv6, Pools: []string{"p6"}})
		return a
	}
	if _, _, err := l.Grant(ask("x", "x", "p4")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Grant(both("a")); err == nil {
		t.Fatal("granted half")
	}
	if n := len(l.Allocations("p6")); n != 0 {
		t.Fatalf("%d IPv6 addresses leaked", n)
	}
	l.Release(pod("x"))
	rec, _, err := l.Grant(both("a"))
	if err != nil || len(rec.Held) != 2 {
		t.Fatal(rec, err)
	}
}

func TestTwoInterfacesOutOfOnePool(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "p", "10.6.0.0/16", "10.6.0.1-10.6.0.2"))
	for range 3 { // the cursor wraps differently each time
		a := ask("a", "a", "p")
		a.Wants = append(a.Wants, Want{NIC: "net1", Family: IPv4, Pools: []string{"p"}})
		rec, _, err := l.Grant(a)
		if err != nil || rec.Held[0].Addr == rec.Held[1].Addr {
			t.Fatal(rec, err)
		}
		l.Release(pod("a"))
		if _, _, err := l.Grant(ask("b", "b", "p")); err != nil {
			t.Fatal(err)
		}
		l.Release(pod("b"))
	}
}

func TestChangedPoolMovesAtRecreationOnly(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "old", "10.6.0.0/16", "10.6.0.1"))
	l.SetPool(mustPool(t, "new", "10.7.0.0/16", "10.7.0.1"))
	_, _, _ = l.Grant(ask("web-0", "u1", "old"))
	if _, changed, _ := l.Grant(ask("web-0", "u1", "new")); changed {
		t.Error("a running pod was moved")
	}
	rec, _, err := l.Grant(ask("web-0", "u2", "new"))
	if err != nil || rec.Held[0].Pool != "new" || l.Counts("old").Held != 0 {
		t.Error(rec, err)
	}
}

func TestGatewayNetworkAndBroadcastAreNeverGranted(t *testing.T) {
	l := NewLedger()
	p, err := ParsePool("p", 4, "10.6.0.0/29", []string{"10.6.0.0-10.6.0.7"}, []string{"10.6.0.3"}, "10.6.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l.SetPool(p)
	for _, want := range []string{"10.6.0.2", "10.6.0.4", "10.6.0.5", "10.6.0.6"} {
		rec, _, err := l.Grant(ask(want, want, "p"))
		if err != nil || rec.Held[0].Addr.String() != want {
			t.Error(rec, err)
		}
	}
	if rec, _, err := l.Grant(ask("more", "more", "p")); err == nil {
		t.Error(rec)
	}
}

func TestAdoptRefusesASecondHolder(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "p", "10.6.0.0/16", "10.6.0.1-10.6.0.9"))
	rec, _, _ := l.Grant(ask("a", "a", "p"))
	conflicts := l.Adopt(Record{Pod: pod("b"), UID: "b", Held: rec.Held})
	if len(conflicts) != 1 || conflicts[0].Holder != pod("a") {
		t.Fatal(conflicts)
	}
	got, _, err := l.Grant(ask("b", "b", "p"))
	if err != nil || got.Held[0].Addr == rec.Held[0].Addr {
		t.Error(got, err)
	}
}

func TestAfterGone(t *testing.T) {
	web0 := Record{Set: Set{Name: "web", UID: "s1", Ordinal: 2}}
	wanted := &SetState{UID: "s1", Replicas: 3}
	for _, c := range []struct {
		name string
		gone Gone
		want Verdict
	}{
		{"wanted", Gone{Record: web0, Set: wanted}, Verdict{Keep: true, Why: OrdinalWanted}},
		{"scaled down", Gone{Record: web0, Set: &SetState{UID: "s1", Replicas: 2}, Ended: true}, Verdict{Why: ScaledDown}},
		{"below start", Gone{Record: web0, Set: &SetState{UID: "s1", Start: 3, Replicas: 9}, Ended: true}, Verdict{Why: ScaledDown}},
		{"set gone", Gone{Record: web0, Ended: true}, Verdict{Why: SetDeleted}},
		{"set going", Gone{Record: web0, Set: &SetState{UID: "s1", Replicas: 3, Deleting: true}, Ended: true}, Verdict{Why: SetDeleted}},
		{"another set", Gone{Record: web0, Set: &SetState{UID: "s2", Replicas: 3}, Ended: true}, Verdict{Why: SetDeleted}},
		{"no set", Gone{Ended: true}, Verdict{Why: NotStateful}},
		{"might run", Gone{For: time.Second}, Verdict{Keep: true, Again: Linger - time.Second, Why: MightRun}},
		{"long gone", Gone{For: Linger}, Verdict{Why: NotStateful}},
	} {
		if got := AfterGone(c.gone); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestLedgerKeepsItsPromises runs random operations against a plain model:
// no address has two holders, none is lost, none leaks, a name keeps its own.
func TestLedgerKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 12).Draw(t, "size")
		pool4 := mustPool(t, "p4", "10.6.0.0/16", fmt.Sprintf("10.6.0.1-10.6.0.%d", size))
		pool6 := mustPool(t, "p6", "fd00::/64", fmt.Sprintf("fd00::1-fd00::%x", size))
		build := func(durable map[types.NamespacedName]Record) *Ledger {
			l := NewLedger()
			for _, rec := range durable {
				if c := l.Adopt(rec); len(c) > 0 {
					t.Fatalf("conflict in durable records: %v", c)
				}
			}
			l.SetPool(pool4)
			l.SetPool(pool6)
			return l
		}
		durable := map[types.NamespacedName]Record{} // what a crash leaves
		l := build(nil)
		uid := 0
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			name := fmt.Sprint("web-", rapid.IntRange(0, 14).Draw(t, "ordinal"))
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0: // restart
				l = build(durable)
			case 1: // the pool shrinks and grows; holders stay
				small := pool4
				small.Spans = []Span{{v(1), v(rapid.IntRange(1, size).Draw(t, "shrink"))}}
				l.SetPool(small)
				l.SetPool(pool4)
			case 2, 3, 4:
				l.Release(pod(name))
				delete(durable, pod(name))
			default:
				uid++
				a := ask(name, fmt.Sprint(uid), "p4")
				a.Wants = append(a.Wants, Want{NIC: "eth0", Family: IPv6, Pools: []string{"p6"}})
				was, had := l.Record(a.Pod)
				rec, _, err := l.Grant(a)
				switch {
				case err != nil && had:
					t.Fatalf("%s had %v and got %v", name, was.Held, err)
				case err != nil && len(durable) < size:
					t.Fatalf("refused with %d of %d held: %v", len(durable), size, err)
				case err == nil && had && (was.Held[0] != rec.Held[0] || was.Held[1] != rec.Held[1]):
					t.Fatalf("%s moved from %v to %v", name, was.Held, rec.Held)
				case err == nil:
					durable[a.Pod] = rec
				}
			}
			check(t, l, durable, size)
		}
	})
}

func v(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 6, 0, byte(n)}) }

func check(t *rapid.T, l *Ledger, durable map[types.NamespacedName]Record, size int) {
	seen := map[netip.Addr]types.NamespacedName{}
	for name, rec := range durable {
		for _, h := range rec.Held {
			if other, twice := seen[h.Addr]; twice {
				t.Fatalf("%s is held by %s and %s", h.Addr, name, other)
			}
			seen[h.Addr] = name
		}
	}
	for _, p := range []string{"p4", "p6"} {
		c := l.Counts(p)
		if c.Held != int64(len(durable)) || c.Total != int64(size) || c.Held+c.Free != c.Total {
			t.Fatalf("pool %s: %+v with %d pods", p, c, len(durable))
		}
		for _, a := range l.Allocations(p) {
			if seen[a.Addr] != a.Pod || durable[a.Pod].UID != a.UID {
				t.Fatalf("pool %s says %+v", p, a)
			}
		}
	}
	if l.Len() != len(durable) {
		t.Fatalf("%d records, want %d", l.Len(), len(durable))
	}
}

func BenchmarkGrant(b *testing.B) {
	for _, subnet := range []string{"10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/10", "fd00::/64"} {
		b.Run(subnet, func(b *testing.B) {
			prefix := netip.MustParsePrefix(subnet)
			l := NewLedger()
			l.SetPool(mustPool(b, "p", subnet, Usable(prefix).String()))
			names := make([]types.NamespacedName, 250)
			for i := range names {
				names[i] = pod(fmt.Sprint("web-", i))
			}
			a := Ask{UID: "u", Wants: []Want{{NIC: "eth0", Family: FamilyOf(prefix.Addr()), Pools: []string{"p"}}}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a.Pod = names[i%len(names)]
				l.Release(a.Pod)
				if _, _, err := l.Grant(a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFragmented grants out of a /10 of which every second address is held.
func BenchmarkFragmented(b *testing.B) {
	l := NewLedger()
	l.SetPool(mustPool(b, "p", "10.0.0.0/10", "10.0.0.2-10.63.255.254"))
	for i := range 200_000 {
		name := pod(fmt.Sprint("a-", i))
		if _, _, err := l.Grant(Ask{Pod: name, UID: "u", Wants: []Want{{NIC: "eth0", Family: IPv4, Pools: []string{"p"}}}}); err != nil {
			b.Fatal(err)
		}
		if i%2 == 1 {
			l.Release(pod(fmt.Sprint("a-", i-1)))
		}
	}
	names := make([]types.NamespacedName, 250)
	for i := range names {
		names[i] = pod(fmt.Sprint("web-", i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := names[i%len(names)]
		l.Release(n)
		_, _, _ = l.Grant(Ask{Pod: n, UID: "u", Wants: []Want{{NIC: "eth0", Family: IPv4, Pools: []string{"p"}}}})
	}
}
