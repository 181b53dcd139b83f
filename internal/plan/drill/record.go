package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Claims are a set's claims by name: each is the one with this UID.
type Claims map[string]types.UID

// Record is what was seen of a set since something was broken.
type Record struct {
	began time.Time
	// When it was last seen whole, and when the API last answered.
	whole, answered time.Time
	health          time.Duration
	broken, away    time.Duration
}

// Begin starts a record: all is well at this time.
func Begin(at time.Time) *Record {
	return &Record{began: at, whole: at, answered: at}
}

// See adds what was seen: nothing when the API did not answer.
func (r *Record) See(at time.Time, s *Subject) {
	if s == nil {
		r.away = max(r.away, at.Sub(r.answered))
		return
	}
	r.away, r.answered = max(r.away, at.Sub(r.answered)), at
	err := s.Whole()
	r.broken = max(r.broken, at.Sub(r.whole))
	if err == nil {
		r.whole = at
	}
}

// Done notes that all is well again.
func (r *Record) Done(at time.Time) { r.health = at.Sub(r.began) }

// Report is what is said of a drill.
type Report struct {
	Drill       string `json:"drill"`
	StatefulSet string `json:"statefulset"`
	// What names what was broken, in the order in which it was.
	What []string `json:"what"`
	// Healthy tells that the set was whole again in time.
	Healthy bool `json:"healthy"`
	// Seconds from the first kill or change to full health; the longest time in
	// which the set was not whole, and in which the API did not answer.
	Health  float64 `json:"secondsToHealth"`
	Broken  float64 `json:"secondsNotWhole"`
	Away    float64 `json:"secondsWithoutAPI"`
	Waiting string  `json:"waitingFor,omitempty"`
	// Replaced are pods that are other objects now, Restarts how often containers
	// of a pod were started again since it is this object.
	Replaced []string         `json:"replaced,omitempty"`
	Restarts map[string]int32 `json:"restarts,omitempty"`
	// Changed is what should be as it was, and is not.
	Changed []string `json:"changed,omitempty"`
}

// Report compares what is now with what was before.
func (r *Record) Report(kind string, what []string, before, after Subject, claims, claimsNow Claims) Report {
	t := Report{
		Drill: kind, StatefulSet: before.Set.Namespace + "/" + before.Set.Name, What: what,
		Healthy: r.health > 0, Health: seconds(r.health), Broken: seconds(r.broken), Away: seconds(r.away),
		Restarts: map[string]int32{},
	}
	if err := after.Whole(); err != nil {
		t.Healthy, t.Waiting = false, err.Error()
	}
	for _, name := range before.names() {
		was, now := before.pod(name), after.pod(name)
		if now == nil || was == nil {
			continue
		}
		if was.UID != now.UID {
			t.Replaced = append(t.Replaced, name)
		}
		for _, c := range now.Status.ContainerStatuses {
			count := c.RestartCount
			for _, o := range was.Status.ContainerStatuses {
				if o.Name == c.Name && was.UID == now.UID {
					count -= o.RestartCount
				}
			}
			if count > 0 {
				t.Restarts[name] += count
			}
		}
		if was.Status.PodIP != now.Status.PodIP {
			t.Changed = append(t.Changed, fmt.Sprintf("%s has the address %s, and had %s", name, now.Status.PodIP, was.Status.PodIP))
		}
	}
	for name, uid := range claims {
		switch claimsNow[name] {
		case uid:
		case "":
			t.Changed = append(t.Changed, "the claim "+name+" is gone")
		default:
			t.Changed = append(t.Changed, "the claim "+name+" is another one")
		}
	}
	slices.Sort(t.Changed)
	return t
}

// Good tells that all is as it should be.
func (t Report) Good() bool { return t.Healthy && len(t.Changed) == 0 }

// Text is the report for people.
func (t Report) Text() string {
	var b strings.Builder
	row := func(name, format string, a ...any) {
		fmt.Fprintf(&b, "%-25s "+format+"\n", append([]any{name}, a...)...)
	}
	row("drill", "%s of %s", t.Drill, t.StatefulSet)
	row("broken", "%s", strings.Join(t.What, ", "))
	if t.Healthy {
		row("full health", "after %.1f s", t.Health)
	} else {
		row("full health", "not reached: %s", t.Waiting)
	}
	row("longest not whole", "%.1f s", t.Broken)
	row("longest without API", "%.1f s", t.Away)
	row("replaced", "%s", or(strings.Join(t.Replaced, ", "), "none"))
	var restarts []string
	for name, n := range t.Restarts {
		restarts = append(restarts, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(restarts)
	row("restarts", "%s", or(strings.Join(restarts, ", "), "none"))
	row("names, addresses, claims", "%s", or(strings.Join(t.Changed, "; "), "as before"))
	return b.String()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
