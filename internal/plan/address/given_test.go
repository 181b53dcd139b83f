package address

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGiven(t *testing.T) {
	g, err := ParseGiven("web-0=10.6.168.105, web-0=fd00::5, 10.6.168.101-10.6.168.102, 10.6.168.110")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		pod    string
		index  int
		family Family
		want   string
	}{
		{"web-0", 0, IPv4, "10.6.168.105"},
		{"web-0", 0, IPv6, "fd00::5"},
		{"web-1", 1, IPv4, "10.6.168.102"},
		{"web-2", 2, IPv4, "10.6.168.110"},
		{"web-3", 3, IPv4, "invalid IP"},
		{"web-1", 1, IPv6, "invalid IP"},
		{"bare", -1, IPv4, "invalid IP"},
	} {
		if a, _ := g.For(tt.pod, tt.index, tt.family); a.String() != tt.want {
			t.Errorf("%s: %s, want %s", tt.pod, a, tt.want)
		}
	}
	for text, want := range map[string]string{
		"":                              "it names no address",
		"web-0=":                        "is not an address",
		"web-0=10.0.0.1-10.0.0.2":       "does not give one pod one address",
		"web-0=10.0.0.1,web-1=10.0.0.1": "10.0.0.1 is given to web-0 and to web-1",
		"web-0=10.0.0.1,web-0=10.0.0.2": "web-0 is given two IPv4 addresses",
		"10.0.0.2-10.0.0.1":             "ends before it begins",
	} {
		if _, err := ParseGiven(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAddressesDealtOutByOrdinalAreThoseOfTheRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 255).Draw(t, "b")), byte(rapid.IntRange(0, 255).Draw(t, "c")), byte(rapid.IntRange(0, 255).Draw(t, "d"))})
		a := first
		for i := range uint64(rapid.IntRange(0, 600).Draw(t, "n")) {
			if got := (Span{first, netip.MustParseAddr("11.0.0.0")}).at(i); got != a {
				t.Fatalf("%s + %d is %s, not %s", first, i, got, a)
			}
			a = a.Next()
		}
	})
}

func TestGivenAddressIsGrantedOrRefused(t *testing.T) {
	l := NewLedger()
	l.SetPool(mustPool(t, "p", "10.6.0.0/16", "10.6.0.1-10.6.0.9"))
	want := func(name, uid, addr string) Ask {
		a := ask(name, uid, "p")
		a.Wants[0].Addr = netip.MustParseAddr(addr)
		return a
	}
	rec, _, err := l.Grant(want("web-0", "u0", "10.6.0.5"))
	if err != nil || rec.Held[0].Addr.String() != "10.6.0.5" {
		t.Fatal(rec, err)
	}
	var u *Unavailable
	for addr, text := range map[string]string{
		"10.6.0.5":  "address 10.6.0.5 of IPPool p is held by pod default/web-0",
		"10.6.0.10": "address 10.6.0.10 lies in none of the pools that the pod may use (p)",
	} {
		if _, _, err := l.Grant(want("web-1", "u1", addr)); !errors.As(err, &u) || err.Error() != text {
			t.Error(err)
		}
	}
	l.SetReserved([]Span{{netip.MustParseAddr("10.6.0.7"), netip.MustParseAddr("10.6.0.7")}})
	if _, _, err := l.Grant(want("web-1", "u1", "10.6.0.7")); err == nil || err.Error() != "address 10.6.0.7 of IPPool p is reserved" {
		t.Error(err)
	}
	// What is given to others is left for them, also when it was held before.
	l.Release(pod("web-0"))
	other := ask("web-9", "u9", "p")
	other.Wants[0].Avoid = []Span{{netip.MustParseAddr("10.6.0.1"), netip.MustParseAddr("10.6.0.8")}}
	if rec, _, err := l.Grant(other); err != nil || rec.Held[0].Addr.String() != "10.6.0.9" {
		t.Error(rec, err)
	}
	// A change moves the address when the pod is made again, never before.
	if _, _, err := l.Grant(want("web-0", "u0", "10.6.0.5")); err != nil {
		t.Fatal(err)
	}
	if rec, changed, _ := l.Grant(want("web-0", "u0", "10.6.0.6")); changed || rec.Held[0].Addr.String() != "10.6.0.5" {
		t.Error("moved while the pod has it", rec)
	}
	if rec, _, err := l.Grant(want("web-0", "u00", "10.6.0.6")); err != nil || rec.Held[0].Addr.String() != "10.6.0.6" {
		t.Error(rec, err)
	}
}

func TestRetention(t *testing.T) {
	for text, want := range map[string]Retention{
		"": {},
		"{whenScaled: Retain, whenDeleted: Retain, retainFor: 10m}": {true, true, 10 * time.Minute},
		`{"whenScaled":"Delete","whenDeleted":"Retain"}`:            {false, true, 0},
		"whenScaled: Retain": {true, false, 0},
	} {
		got, err := ParseRetention(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := ParseRetention(got.String()); err != nil || again != got {
			t.Errorf("%q reads back as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"{whenScaled: Keep}", "{when: Retain}", "{retainFor: soon}", "{retainFor: 0s}", "Retain", "{"} {
		if _, err := ParseRetention(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestAfterGoneRetains(t *testing.T) {
	rec := Record{Set: Set{Name: "web", UID: "u", Ordinal: 2}}
	keep := Retention{WhenScaled: true, WhenDeleted: true, For: time.Minute}
	set := func(r Retention) *SetState { return &SetState{UID: "u", Replicas: 1, Retention: r} }
	kept := rec
	kept.Retention = keep
	tests := []struct {
		name string
		gone Gone
		want Verdict
	}{
		{"scaled down", Gone{Record: rec, Set: set(keep), Ended: true, For: 10 * time.Second}, Verdict{true, 50 * time.Second, Retained}},
		{"time is over", Gone{Record: rec, Set: set(keep), Ended: true, For: time.Minute}, Verdict{false, 0, ScaledDown}},
		{"only when deleted", Gone{Record: kept, Set: set(Retention{WhenDeleted: true}), Ended: true}, Verdict{false, 0, ScaledDown}},
		{"deleted", Gone{Record: kept, Ended: true}, Verdict{true, time.Minute, Retained}},
		{"another set of the name", Gone{Record: kept, Set: &SetState{UID: "v", Replicas: 3}, Ended: true}, Verdict{true, time.Minute, Retained}},
		{"deleted without a wish", Gone{Record: rec, Ended: true}, Verdict{false, 0, SetDeleted}},
		{"for ever", Gone{Record: rec, Set: set(Retention{WhenScaled: true}), Ended: true, For: 1000 * time.Hour}, Verdict{true, 0, Retained}},
		{"might run when the time is over", Gone{Record: Record{Set: rec.Set, Retention: Retention{WhenDeleted: true, For: time.Second}}, For: time.Second}, Verdict{true, Linger - time.Second, MightRun}},
		{"its record was deleted", Gone{Record: kept, Set: set(keep), Ended: true, Waived: true}, Verdict{false, 0, ScaledDown}},
		{"its record was deleted too early", Gone{Record: kept, Waived: true}, Verdict{true, Linger, MightRun}},
		{"its record was deleted, but the pod comes back", Gone{Record: kept, Set: &SetState{UID: "u", Replicas: 3}, Waived: true}, Verdict{true, 0, OrdinalWanted}},
		{"bare pod", Gone{Record: Record{Retention: keep}, Ended: true}, Verdict{false, 0, NotStateful}},
	}
	for _, tt := range tests {
		if got := AfterGone(tt.gone); got != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
