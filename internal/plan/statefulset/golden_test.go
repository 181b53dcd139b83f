package statefulset

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Upstream's table for one rolling step when pods are stale and unavailable: U
// is unready, T terminating, M ready but inside minReadySeconds; all are of the
// old revision. What remains is after one pass.
func TestRollIsUpstreams(t *testing.T) {
	for _, c := range []struct {
		policy       string
		n, part, max int
		state        string
		remaining    string
	}{
		{"Parallel", 1, 0, 1, "U0", ""},
		{"Parallel", 3, 0, 1, "U2", "0 1"},
		{"Parallel", 5, 0, 2, "U3 U4", "0 1 2"},
		{"Parallel", 3, 0, 1, "T2", "0 1 2"},
		{"Parallel", 5, 0, 3, "U3 T4", "0 1 4"},
		{"Parallel", 5, 0, 3, "T3 U4", "0 1 3"},
		{"Parallel", 3, 0, 1, "M2", "0 1"},
		{"Parallel", 5, 2, 1, "U4", "0 1 2 3"},
		{"Parallel", 5, 2, 1, "U2", "0 1 3 4"},
		{"Parallel", 5, 2, 1, "U1", "0 1 2 3 4"},
		{"Parallel", 5, 3, 2, "U3 U4", "0 1 2"},
		{"Parallel", 5, 3, 2, "U1 U4", "0 1 2 3"},
		{"Parallel", 4, 0, 2, "U0 U1", "2 3"},
		{"Parallel", 5, 0, 3, "U0 U1", "2 3"},
		{"OrderedReady", 1, 0, 1, "U0", "0"},
		{"OrderedReady", 3, 0, 1, "U2", "0 1 2"},
		{"OrderedReady", 3, 0, 1, "T2", "0 1 2"},
		{"OrderedReady", 3, 0, 1, "M2", "0 1 2"},
		{"OrderedReady", 5, 0, 2, "U4", "0 1 2 3"},
		{"OrderedReady", 5, 0, 3, "U3 T4", "0 1 2 4"},
		{"OrderedReady", 5, 0, 3, "T3 U4", "0 1 2 3"},
		{"OrderedReady", 5, 2, 1, "U4", "0 1 2 3 4"},
	} {
		t.Run(fmt.Sprintf("%s n=%d partition=%d max=%d %s", c.policy, c.n, c.part, c.max, c.state), func(t *testing.T) {
			s := State{
				Name: "web", Replicas: c.n, Parallel: c.policy == "Parallel", Strategy: RollingUpdate, HasRolling: true,
				Partition: c.part, MaxUnavailable: c.max, Current: "A", Update: "B",
			}
			for i := range c.n {
				s.Pods = append(s.Pods, Pod{Ordinal: i, UID: types.UID(fmt.Sprint(i)), Health: Available, Revision: "A"})
			}
			for _, word := range strings.Fields(c.state) {
				pod := &s.Pods[word[1]-'0']
				switch word[0] {
				case 'U':
					pod.Health = Starting
				case 'T':
					pod.Terminating = true
				case 'M':
					pod.Health = Ready
				}
			}
			var p Plan
			p.roll(s, s.Pods)
			gone := map[int]bool{}
			for _, a := range p.Actions {
				if gone[a.Ordinal] {
					t.Errorf("pod %d is deleted twice", a.Ordinal)
				}
				gone[a.Ordinal] = true
			}
			var left []string
			for i := range c.n {
				if !gone[i] {
					left = append(left, fmt.Sprint(i))
				}
			}
			if got := strings.Join(left, " "); got != c.remaining {
				t.Errorf("remaining %q, want %q", got, c.remaining)
			}
		})
	}
}

func TestMaxUnavailable(t *testing.T) {
	percent := func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	number := func(n int) *intstr.IntOrString { v := intstr.FromInt32(int32(n)); return &v }
	for _, c := range []struct {
		value    *intstr.IntOrString
		replicas int
		want     int
	}{
		{nil, 5, 1},
		{number(3), 5, 3},
		{percent("10%"), 25, 2},
		{percent("50%"), 5, 2},
		{percent("10%"), 5, 1},
		{percent("0%"), 5, 1},
		{percent("100%"), 5, 5},
	} {
		if got := atLeastOne(c.value, c.replicas); got != c.want {
			t.Errorf("%v of %d = %d, want %d", c.value, c.replicas, got, c.want)
		}
	}
}

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		name    string
		set     string
		ordinal int
		ok      bool
	}{
		{"web-0", "web", 0, true},
		{"my-web-12", "my-web", 12, true},
		{"web", "", 0, false},
		{"web-", "", 0, false},
		{"web-x", "", 0, false},
		{"web--1", "web-", 1, true},
		{"web-+1", "", 0, false},
		{"web-01", "web", 1, true},
		{"web-99999999999", "", 0, false},
	} {
		set, ordinal, ok := ParseName(c.name)
		if set != c.set || ordinal != c.ordinal || ok != c.ok {
			t.Errorf("ParseName(%q) = %q, %d, %t", c.name, set, ordinal, ok)
		}
	}
}
