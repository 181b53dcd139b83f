package why

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Text is the report for people.
func (r Report) Text(now time.Time) string {
	var b strings.Builder
	where := ""
	if r.Namespace != "" {
		where = " in namespace " + r.Namespace
	}
	fmt.Fprintf(&b, "%s%s: %s\n", r.Object, where, r.Summary)
	follows := false
	for _, a := range r.Answers {
		if a.Follows && !follows {
			follows = true
			b.WriteString("\nwhat follows from that:\n")
		}
		fmt.Fprintf(&b, "\n%s  %s\n  %s\n", a.Object, a.Reason, a.Sentence)
		for _, d := range a.Details {
			fmt.Fprintf(&b, "    %s\n", d)
		}
		if a.Since != nil {
			fmt.Fprintf(&b, "  since      %s ago (%s)\n", duration.HumanDuration(now.Sub(*a.Since)), a.Since.Format(time.RFC3339))
		}
		fmt.Fprintf(&b, "  by itself  %s\n", r.hope(a))
		if a.Change != nil {
			fmt.Fprintf(&b, "  to change  %s of %s\n", a.Change.Field, a.Change.Object)
		}
		if a.Next != "" {
			fmt.Fprintf(&b, "  next       %s\n", a.Next)
		}
	}
	switch {
	case len(r.Answers) == 0:
		b.WriteString("nothing is stuck\n")
	case !r.Stuck:
		b.WriteString("\nnothing is stuck: it passes by itself\n")
	}
	for _, u := range r.Unread {
		fmt.Fprintf(&b, "\ncould not be read, so answers may be missing: %s\n", u)
	}
	return b.String()
}

func (r Report) hope(a Answer) string {
	switch {
	case a.Follows && a.Passes == Yes:
		return "yes, with the above"
	case a.Follows:
		return string(a.Passes) + ", as the above"
	case a.Passes == Unknown:
		return "unknown: it may"
	}
	return string(a.Passes)
}
