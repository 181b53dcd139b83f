package why

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/internal/golden"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/plan/statefulset"
)

// stuck is one way to be stuck: what disturbs a healthy set of three, what is
// asked, and the reason that must come first.
type stuck struct {
	name    string
	ask     string // statefulset/web unless given
	disturb func(world)
	want    Reason // empty: nothing is waited for
}

func allCases() []stuck {
	return slices.Concat(containerCases(), placeCases(), nodeCases(), claimCases(), setCases(), refusedCases(), otherCases(), controllerCases())
}

func (c stuck) report(t *testing.T) Report {
	t.Helper()
	w := healthy()
	if c.disturb != nil {
		c.disturb(w)
	}
	kind, name, _ := strings.Cut(c.ask, "/")
	if c.ask == "" {
		kind, name = "statefulset", "web"
	}
	r, err := Ask(w.Facts, kind, name)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return r
}

// The words of each answer stand in testdata/answers.txt.
func TestAnswers(t *testing.T) {
	const file = "testdata/answers.txt"
	var b strings.Builder
	for _, c := range allCases() {
		r := c.report(t)
		fmt.Fprintf(&b, "===== %s\n%s", c.name, r.Text(noon))
		switch {
		case c.want == "" && len(r.Answers) > 0:
			t.Errorf("%s: %s, want nothing", c.name, r.Answers[0].Reason)
		case c.want != "" && (len(r.Answers) == 0 || r.Answers[0].Reason != c.want):
			t.Errorf("%s: want %s first, got\n%s", c.name, c.want, r.Text(noon))
		}
	}
	golden.Same(t, file, b.String())
}

// Each reason of the closed list is provoked, and nothing outside of it is said.
func TestEveryReasonIsProvoked(t *testing.T) {
	seen := map[Reason]bool{}
	for _, c := range allCases() {
		for _, a := range c.report(t).Answers {
			seen[a.Reason] = true
			if a.Sentence == "" || a.Object == "" || a.Passes == "" {
				t.Errorf("%s: an answer lacks something: %+v", c.name, a)
			}
			if a.Passes != Yes && a.Next == "" {
				t.Errorf("%s: %s does not pass by itself and names no command", c.name, a.Reason)
			}
		}
	}
	w := healthy()
	for _, a := range w.hold(w.observe(w.set()), statefulset.Hold{Why: "SomethingNew"}) { // a hold that this package has not heard of
		seen[a.Reason] = true
	}
	for _, about := range Reasons {
		if !seen[about.Reason] {
			t.Errorf("%s: no case provokes it", about.Reason)
		}
		delete(seen, about.Reason)
	}
	for reason := range seen {
		t.Errorf("%s is not in the closed list", reason)
	}
}

// Asking changes nothing: the objects are somebody's cache.
func TestAskChangesNothing(t *testing.T) {
	for _, c := range allCases() {
		first, second := c.report(t), c.report(t)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s: asked twice\n%s", c.name, diff)
		}
	}
}
