package address

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func v4(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestFreeSetIsASet compares the chunked spans with a plain map.
func TestFreeSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 3000).Draw(t, "size")
		set := newFreeSet([]Span{{v4(0), v4(size - 1)}})
		model := make([]bool, size)
		for i := range model {
			model[i] = true
		}
		if rapid.Bool().Draw(t, "comb") { // many gaps: several chunks
			for i := 0; i < size; i += 2 {
				set.remove(v4(i))
				model[i] = false
			}
		}
		steps := rapid.IntRange(0, 400).Draw(t, "steps")
		for range steps {
			i := rapid.IntRange(0, size-1).Draw(t, "i")
			if rapid.Bool().Draw(t, "add") {
				if got := set.add(v4(i)); got == model[i] {
					t.Fatalf("add(%d) = %v, was in: %v", i, got, model[i])
				}
				model[i] = true
			} else {
				if got := set.remove(v4(i)); got != model[i] {
					t.Fatalf("remove(%d) = %v, want %v", i, got, model[i])
				}
				model[i] = false
			}
			from := rapid.IntRange(0, size-1).Draw(t, "from")
			want := slices.Index(model[from:], true)
			got, ok := set.next(v4(from))
			if ok != (want >= 0) || ok && got != v4(from+want) {
				t.Fatalf("next(%d) = %v %v, want offset %d", from, got, ok, want)
			}
			if set.has(v4(from)) != model[from] {
				t.Fatalf("has(%d) = %v", from, !model[from])
			}
		}
		spans := set.spans()
		if !slices.Equal(spans, Merge(spans)) && len(spans) > 0 {
			t.Fatalf("spans are not merged: %v", spans)
		}
		n := 0
		for _, in := range model {
			if in {
				n++
			}
		}
		if got := Count(spans); got != int64(n) {
			t.Fatalf("count %d, want %d", got, n)
		}
	})
}

func TestSubtract(t *testing.T) {
	span := rapid.Custom(func(t *rapid.T) Span {
		a, n := rapid.IntRange(0, 60).Draw(t, "first"), rapid.IntRange(0, 12).Draw(t, "more")
		return Span{v4(a), v4(a + n)}
	})
	rapid.Check(t, func(t *rapid.T) {
		from, minus := rapid.SliceOf(span).Draw(t, "from"), rapid.SliceOf(span).Draw(t, "minus")
		got := Subtract(from, minus)
		for i := range 80 {
			in := func(s Span) bool { return s.Contains(v4(i)) }
			want := slices.ContainsFunc(from, in) && !slices.ContainsFunc(minus, in)
			if slices.ContainsFunc(got, in) != want {
				t.Fatalf("%v in %v - %v = %v: want %v", v4(i), from, minus, got, want)
			}
		}
	})
}

func TestUsable(t *testing.T) {
	for subnet, want := range map[string]string{
		"10.42.0.0/16":       "10.42.0.2-10.42.255.254",
		"192.168.1.0/30":     "192.168.1.2",
		"192.168.1.0/31":     "192.168.1.0-192.168.1.1",
		"192.168.1.7/32":     "192.168.1.7",
		"fd00:42::/64":       "fd00:42::2-fd00:42::ffff:ffff:ffff:ffff",
		"fd00:42::8/128":     "fd00:42::8",
		"255.255.255.248/29": "255.255.255.250-255.255.255.254",
	} {
		if got := Usable(netip.MustParsePrefix(subnet)).String(); got != want {
			t.Errorf("%s: %s, want %s", subnet, got, want)
		}
	}
}

func TestParseSpanRefuses(t *testing.T) {
	for _, bad := range []string{"", "-", "10.0.0.1-", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.0/8", "fe80::1%eth0", "x"} {
		if s, err := ParseSpan(bad); err == nil {
			t.Errorf("%q was read as %s", bad, s)
		}
	}
	for _, good := range []string{"10.0.0.1", "10.0.0.1-10.0.0.9", "fd00::1-fd00::ffff"} {
		if s, err := ParseSpan(good); err != nil || s.String() != good {
			t.Errorf("%q was read as %s, %v", good, s, err)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	f.Add("10.0.0.1-10.0.0.9")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpan(text)
		if err != nil {
			return
		}
		if again, err := ParseSpan(s.String()); err != nil || again != s {
			t.Fatalf("%q: %v, %v", text, again, err)
		}
	})
}
