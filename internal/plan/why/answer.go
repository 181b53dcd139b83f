package why

import (
	"slices"
	"time"
)

// Report is what there is to say about one object.
type Report struct {
	// Object is the object asked about, such as "statefulset/web".
	Object    string `json:"object"`
	Namespace string `json:"namespace,omitempty"`
	// Summary is one sentence about the object as a whole.
	Summary string `json:"summary"`
	// Stuck: at least one answer does not pass by itself, or may not.
	Stuck   bool     `json:"stuck"`
	Answers []Answer `json:"answers"`
	// Unread names what could not be read: answers may be missing.
	Unread []string `json:"unread,omitempty"`
}

// Answer is one thing that is waited for.
type Answer struct {
	Reason Reason `json:"reason"`
	// Object is what the answer is about, such as "pod/web-1".
	Object   string `json:"object"`
	Sentence string `json:"sentence"`
	// Details are reasons one by one, such as one for each node.
	Details []string `json:"details,omitempty"`
	// Since is when it began, nil when nobody wrote it down.
	Since *time.Time `json:"since,omitempty"`
	// Passes says whether it will pass by itself.
	Passes Passes `json:"passesByItself"`
	// Change is the field that is wrong, or that would make it right.
	Change *Change `json:"change,omitempty"`
	// Next is the next command.
	Next string `json:"next,omitempty"`
	// Follows: it only follows from the other answers.
	Follows bool `json:"follows,omitempty"`
}

// Change is a field of an object. An element of a list is named by its name, as
// in spec.template.spec.containers[nginx].image.
type Change struct {
	Object string `json:"object"`
	Field  string `json:"field"`
}

// Passes says whether waiting helps.
type Passes string

// Whether waiting helps. Unknown: it may, when what causes it comes back.
const (
	Yes     Passes = "yes"
	No      Passes = "no"
	Unknown Passes = "unknown"
)

// worst is the least hopeful of two.
func worst(a, b Passes) Passes {
	for _, p := range []Passes{No, Unknown} {
		if a == p || b == p {
			return p
		}
	}
	return Yes
}

// finish puts causes first, leaves out what is said twice, and lets what only
// follows from causes be as hopeful as they are.
func finish(object, namespace string, answers []Answer) Report {
	r := Report{Object: object, Namespace: namespace, Answers: []Answer{}}
	slices.SortStableFunc(answers, func(a, b Answer) int { return order(a) - order(b) })
	for _, a := range answers {
		if slices.ContainsFunc(r.Answers, func(b Answer) bool { return a.Reason == b.Reason && a.Object == b.Object && a.Sentence == b.Sentence }) {
			continue
		}
		if a.Follows && len(r.Answers) == 0 {
			a.Follows = false // nothing better is known
		}
		if a.Follows {
			hope, next := Yes, ""
			for _, cause := range r.Answers {
				if !cause.Follows {
					hope = worst(hope, cause.Passes)
					if next == "" {
						next = cause.Next
					}
				}
			}
			a.Passes = hope
			if a.Next == "" {
				a.Next = next
			}
		}
		r.Stuck = r.Stuck || a.Passes != Yes
		r.Answers = append(r.Answers, a)
	}
	return r
}

func order(a Answer) int {
	switch {
	case a.Follows:
		return 2
	case a.Passes == Yes:
		return 1
	}
	return 0
}

// at is a time to publish, nil for the zero one.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
