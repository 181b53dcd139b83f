package options

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	half := intstr.FromString("50%")
	for _, c := range []struct {
		name     string
		given    map[string]string
		want     Options
		problems []Problem
	}{
		{name: "nothing", want: Options{ProgressDeadline: 10 * time.Minute}},
		{
			name: "everything",
			given: map[string]string{
				Paused: "true", ReserveOrdinals: "3-5, 1,2", ScaleDownUnready: "True", MaxUnavailableScale: "50%", ProgressDeadlineSeconds: "30",
				OrderedTeardown: "true", RespectPDB: "TRUE", Recovery: "Parallel", Overrides: "web-own", PrePull: "true", InPlaceUpdate: "Only", UpdateOrder: "example.com/role=replica,primary", NodeLoss: "Replace",
			},
			want: Options{Paused: true, Reserved: Ordinals{{1, 5}}, ScaleDownUnready: true, MaxUnavailableScale: &half, ProgressDeadline: 30 * time.Second, OrderedTeardown: true, RespectPDB: true, RecoverTogether: true, Overrides: "web-own", PrePull: true, InPlace: Only, Order: Order{Label: "example.com/role", Values: []string{"replica", "primary"}}, ReplaceLost: true},
		},
		{
			name:  "all wrong",
			given: map[string]string{Paused: "yes", ReserveOrdinals: "5-3", MaxUnavailableScale: "0", ProgressDeadlineSeconds: "soon", Recovery: "parallel", InPlaceUpdate: "never"},
			want:  Options{ProgressDeadline: 10 * time.Minute},
			problems: []Problem{
				{Paused, "yes", `must be "true" or "false"`},
				{ReserveOrdinals, "5-3", `"5-3" is no ordinal and no range of ordinals, such as "1,3-5"`},
				{Recovery, "parallel", `must be "Parallel" or "Ordered"`},
				{InPlaceUpdate, "never", `must be "IfPossible" or "Only"`},
				{MaxUnavailableScale, "0", `must be a number of at least 1 or a percentage from "1%" to "100%"`},
				{ProgressDeadlineSeconds, "soon", "must be a number of seconds, at least 1"},
			},
		},
	} {
		got, problems := Parse(c.given)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.problems, problems); diff != "" {
			t.Errorf("%s: problems: -want +got\n%s", c.name, diff)
		}
	}
	for _, bad := range []string{"101%", "x", "-1", "0%"} {
		if _, problems := Parse(map[string]string{MaxUnavailableScale: bad}); len(problems) != 1 {
			t.Errorf("%q was accepted", bad)
		}
	}
	for _, bad := range []string{"", "up", "role", "role=", "=primary", "role=a,a", "role=a b", "a b=c", "role=a,"} {
		if o, err := ParseOrder(bad); err == nil {
			t.Errorf("order %q was accepted as %v", bad, o)
		}
	}
	order, err := ParseOrder("role=replica,primary")
	for role, want := range map[string]int{"": 0, "learner": 0, "replica": 1, "primary": 2} {
		if got := order.Turn(map[string]string{"role": role}); err != nil || got != want {
			t.Errorf("turn of %q is %d, want %d (%v)", role, got, want, err)
		}
	}
	for _, bad := range []string{"a", "-1", "1-", "1-2-3", "4294967296"} {
		if _, err := ParseOrdinals(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// The sums over spans agree with counting one by one.
func TestOrdinals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, plain := "", map[int]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "spans") {
			first := rapid.IntRange(0, 12).Draw(t, "first")
			last := first + rapid.IntRange(0, 3).Draw(t, "more")
			text += "," + itoa(first) + "-" + itoa(last)
			for n := first; n <= last; n++ {
				plain[n] = true
			}
		}
		o, err := ParseOrdinals(text)
		if err != nil {
			t.Fatal(err)
		}
		var built Ordinals
		for i := range 20 {
			if plain[i] {
				built = built.With(i)
			}
		}
		if built.String() != o.String() {
			t.Fatalf("%v is built as %v", o, built)
		}
		start, n := rapid.IntRange(0, 8).Draw(t, "start"), rapid.IntRange(0, 8).Draw(t, "n")
		end, free := start, 0
		for free < n {
			if !plain[end] {
				free++
			}
			end++
		}
		for i := range 20 {
			if o.Has(i) != plain[i] {
				t.Fatalf("%v has %d: %v", o, i, o.Has(i))
			}
		}
		got := o.Skip(start, n)
		if got < end || o.Free(start, got) != n || o.Free(start, end) != n {
			t.Fatalf("%v: from %d, %d free ones end at %d (%d free), not %d", o, start, n, got, o.Free(start, got), end)
		}
	})
}

func itoa(n int) string { return strconv.Itoa(n) }
