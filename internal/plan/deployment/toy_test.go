package deployment

import (
	"fmt"
	"slices"
	"strings"
)

// toy is a world in which sets follow their sizes and pods come to serve, but for
// those of sets that are broken.
type toy struct {
	State
	made   int
	broken map[string]bool
}

func (w *toy) set(name string) *Set {
	i := slices.IndexFunc(w.Sets, func(s Set) bool { return s.Name == name })
	return &w.Sets[i]
}

// carryOut writes what a plan asks for and says what was done.
func (w *toy) carryOut(p Plan) []string {
	var done []string
	for _, a := range p.Actions {
		switch a.Verb {
		case CreateSet:
			w.made++
			name := fmt.Sprintf("made-%d", w.made)
			w.Sets = append(w.Sets, Set{Name: name, New: true, Size: a.To, Revision: w.highest() + 1, Desired: w.Replicas, Max: w.Replicas + w.Surge})
			done = append(done, fmt.Sprintf("create %s of %d", name, a.To))
		case ScaleSet:
			s := w.set(a.Set)
			s.Size, s.Desired, s.Max = a.To, w.Replicas, w.Replicas+w.Surge
			s.Seen = s.Seen && a.From == a.To
			done = append(done, fmt.Sprintf("%s %d>%d", a.Set, a.From, a.To))
		case RefreshSet:
			w.set(a.Set).Stale = false
			done = append(done, "refresh "+a.Set)
		case DeleteSet:
			w.Sets = slices.DeleteFunc(w.Sets, func(s Set) bool { return s.Name == a.Set })
			done = append(done, "delete "+a.Set)
		case RollBack:
			w.Rollback = false
			done = append(done, "roll back")
		}
	}
	return done
}

func (w *toy) highest() int64 {
	n := int64(0)
	for _, s := range w.Sets {
		n = max(n, s.Revision)
	}
	return n
}

// follow lets a set's controller look at it: it makes or takes pods, those that
// do not serve first.
func (w *toy) follow(s *Set) bool {
	moved := !s.Seen || s.Pods != s.Size
	s.Seen, s.Pods = true, s.Size
	s.Available = min(s.Available, s.Pods)
	return moved
}

// serve lets one more of a set's pods serve.
func (w *toy) serve(s *Set) bool {
	if w.broken[s.Name] || s.New && w.broken["new"] || s.Available >= s.Pods {
		return false
	}
	s.Available++
	return true
}

func (w *toy) count() {
	pods, available, updated := 0, 0, 0
	for _, s := range w.Sets {
		pods, available = pods+s.Pods, available+s.Available
		if s.New {
			updated += s.Pods
		}
	}
	w.Had = pods
	w.Complete = pods == w.Replicas && available == w.Replicas && updated == w.Replicas
}

// settle carries plans out until nothing moves.
func (w *toy) settle(limit int) (trace []string, rested bool) {
	for range limit {
		w.count()
		done := w.carryOut(Decide(w.State))
		if len(done) > 0 {
			trace = append(trace, strings.Join(done, ", "))
		}
		moved := len(done) > 0
		for i := range w.Sets {
			moved = w.follow(&w.Sets[i]) || moved
		}
		for i := range w.Sets {
			moved = w.serve(&w.Sets[i]) || moved
		}
		if !moved {
			return trace, true
		}
	}
	return trace, false
}
