package preview

import (
	"fmt"
	"strings"
)

// shown is how many steps people want to read.
const shown = 40

// Text is the result for people.
func (r Result) Text() string {
	var b strings.Builder
	where := ""
	if r.Namespace != "" {
		where = " in namespace " + r.Namespace
	}
	fmt.Fprintf(&b, "%s%s: %s\n", r.Object, where, r.Change)
	if r.Refused != "" {
		fmt.Fprintf(&b, "  refused: %s\n", r.Refused)
		if r.Next != "" {
			fmt.Fprintf(&b, "  next: %s\n", r.Next)
		}
	}
	for _, f := range r.Fields {
		switch {
		case f.From == "":
			fmt.Fprintf(&b, "  + %s: %s\n", f.Path, f.To)
		case f.To == "":
			fmt.Fprintf(&b, "  - %s: %s\n", f.Path, f.From)
		default:
			fmt.Fprintf(&b, "  ~ %s: %s -> %s\n", f.Path, f.From, f.To)
		}
	}
	if len(r.Steps) > 0 {
		b.WriteString("  steps:\n")
	}
	for i, s := range r.Steps {
		if i == shown {
			fmt.Fprintf(&b, "    … %d more (-o json shows them)\n", len(r.Steps)-shown)
			break
		}
		lead := fmt.Sprintf("%5d. ", s.Number)
		for _, a := range s.Actions {
			fmt.Fprintf(&b, "%s%s\n", lead, a.Sentence)
			lead = strings.Repeat(" ", 7)
		}
		if s.Until != "" {
			fmt.Fprintf(&b, "%suntil %s (meanwhile %d of %d available)\n", lead, s.Until, s.Available, s.Wanted)
		}
	}
	if r.End != "" {
		fmt.Fprintf(&b, "  then: %s\n", r.End)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	for _, n := range r.Warnings {
		fmt.Fprintf(&b, "  warning: %s\n", n)
	}
	return b.String()
}
