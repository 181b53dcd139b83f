package deployment

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// slow is a world in which everybody sees everything late: sets' controllers the
// sizes, the planner what sets report.
type slow struct {
	State
	sets   map[string]*real
	order  []string
	made   int
	broken bool // pods of the new template never serve
}

// real is one set as it is.
type real struct {
	sizes     []int // all that were ever written
	seen      int   // the last one that its controller has seen
	pods      int
	serving   int
	broken    bool
	said      Set // what it has reported last
	saidAbout int // the size that it knew of then
}

func (w *slow) total() (pods, serving int) {
	for _, r := range w.sets {
		pods, serving = pods+r.pods, serving+r.serving
	}
	return pods, serving
}

// show brings one set in the planner's cache up to date.
func (w *slow) show(name string) {
	r := w.sets[name]
	for i := range w.Sets {
		if s := &w.Sets[i]; s.Name == name {
			s.Size = r.sizes[len(r.sizes)-1]
			s.Pods, s.Available, s.Seen = r.said.Pods, r.said.Available, r.saidAbout == len(r.sizes)-1
		}
	}
}

// plan lets the planner look; it never looks before it has seen its own writes.
func (w *slow) plan() bool {
	pods, updated, serving := 0, 0, 0
	for _, s := range w.Sets {
		pods, serving = pods+s.Pods, serving+s.Available
		if s.New {
			updated += s.Pods
		}
	}
	w.Had, w.Complete = pods, pods == w.Replicas && updated == pods && serving == pods
	actions := Decide(w.State).Actions
	for _, a := range actions {
		switch a.Verb {
		case CreateSet:
			w.made++
			name := fmt.Sprintf("made-%d", w.made)
			w.sets[name] = &real{sizes: []int{a.To}, seen: -1, broken: w.broken, saidAbout: -1}
			w.order = append(w.order, name)
			w.Sets = append(w.Sets, Set{Name: name, New: true, Size: a.To, Desired: w.Replicas, Max: w.Replicas + w.Surge, Revision: int64(w.made)})
		case ScaleSet:
			w.sets[a.Set].sizes = append(w.sets[a.Set].sizes, a.To)
			w.show(a.Set)
			for i := range w.Sets {
				if w.Sets[i].Name == a.Set {
					w.Sets[i].Desired, w.Sets[i].Max = w.Replicas, w.Replicas+w.Surge
				}
			}
		case DeleteSet:
			w.Sets = deleteSet(w.Sets, a.Set)
			delete(w.sets, a.Set)
		}
	}
	return len(actions) > 0
}

func deleteSet(sets []Set, name string) []Set {
	var kept []Set
	for _, s := range sets {
		if s.Name != name {
			kept = append(kept, s)
		}
	}
	return kept
}

// control lets a set's controller look at the size that it knows, report what
// it finds, and then make or take pods, those first that do not serve; unless
// that is refused.
func (w *slow) control(r *real, fresh, refused bool) bool {
	if fresh || r.seen < 0 {
		r.seen = len(r.sizes) - 1
	}
	before := r.said
	r.said.Pods, r.said.Available = r.pods, r.serving
	moved := before != r.said || r.saidAbout != r.seen || r.pods != r.sizes[r.seen]
	r.saidAbout = r.seen
	if refused {
		return true
	}
	r.pods = r.sizes[r.seen]
	r.serving = min(r.serving, r.pods)
	return moved
}

func (w *slow) rest() bool {
	for range 500 {
		moved := false
		for _, name := range w.order {
			r := w.sets[name]
			if r == nil {
				continue
			}
			moved = w.control(r, true, false) || moved
			if !r.broken && r.serving < r.pods {
				r.serving++
				moved = true
			}
			w.show(name)
		}
		if moved = w.plan() || moved; !moved {
			return true
		}
	}
	return false
}

// Whatever is seen late: from a complete state, through any number of templates,
// some of which never work, there are never more pods than the surge allows,
// never fewer that serve than must, and in the end all is as it should be and
// nothing is asked for any more.
func TestBoundsHoldHoweverLateThingsAreSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &slow{sets: map[string]*real{}}
		w.Replicas = rapid.IntRange(1, 8).Draw(t, "replicas")
		w.Surge = rapid.IntRange(0, 4).Draw(t, "surge")
		w.Unavailable = rapid.IntRange(0, w.Replicas).Draw(t, "unavailable")
		w.HistoryLimit = rapid.IntRange(0, 3).Draw(t, "history")
		if w.Surge == 0 && w.Unavailable == 0 {
			w.Unavailable = 1
		}
		if !w.rest() {
			t.Fatal("does not come up")
		}
		most, least := w.Replicas+w.Surge, w.Replicas-w.Unavailable
		check := func(when string) {
			if pods, serving := w.total(); pods > most || serving < least {
				t.Fatalf("%s: %d pods of at most %d, %d serve of at least %d", when, pods, most, serving, least)
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "templates") {
			w.broken = rapid.Bool().Draw(t, "broken")
			for i := range w.Sets {
				w.Sets[i].New = false
			}
			for range rapid.IntRange(0, 60).Draw(t, "steps") {
				switch what := rapid.IntRange(0, 4).Draw(t, "what"); what {
				case 0:
					w.plan()
				default:
					if len(w.order) == 0 {
						continue
					}
					name := rapid.SampledFrom(w.order).Draw(t, "who")
					r := w.sets[name]
					switch {
					case r == nil:
					case what == 1:
						w.show(name)
					case what == 2 && !r.broken && r.serving < r.pods:
						r.serving++
					default:
						w.control(r, rapid.Bool().Draw(t, "fresh"), rapid.IntRange(0, 4).Draw(t, "refused") == 0)
					}
				}
				check("on the way")
			}
		}
		for i := range w.Sets {
			w.Sets[i].New = false
		}
		w.broken = false
		if !w.rest() {
			t.Fatal("does not rest")
		}
		check("at the end")
		latest, ok := w.newest()
		if pods, serving := w.total(); !ok || latest.Size != w.Replicas || pods != w.Replicas || serving != w.Replicas {
			t.Fatalf("wanted %d of the new template: %+v", w.Replicas, w.Sets)
		}
		if n := len(w.old()); n > w.HistoryLimit {
			t.Fatalf("%d old sets are kept, the limit is %d", n, w.HistoryLimit)
		}
	})
}

// A change of the wanted number in the middle of a rollout never makes more than
// the new number and its surge, and leads to the new number.
func TestScalingInProportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{
			Replicas: rapid.IntRange(0, 20).Draw(t, "replicas"), Surge: rapid.IntRange(0, 5).Draw(t, "surge"), HistoryLimit: 10,
		}
		before := rapid.IntRange(1, 20).Draw(t, "before")
		for i := range rapid.IntRange(2, 5).Draw(t, "sets") {
			size := rapid.IntRange(1, 10).Draw(t, "size")
			s.Sets = append(s.Sets, Set{Name: fmt.Sprint(i), Size: size, Pods: size, Seen: true, New: i == 0, Desired: before, Max: rapid.IntRange(-1, 25).Draw(t, "max")})
		}
		to := map[string]int{}
		for _, set := range s.Sets {
			to[set.Name] = set.Size
		}
		for _, a := range s.rescale() {
			to[a.Set] = a.To
		}
		want, sum := 0, 0
		if s.Replicas > 0 {
			want = s.Replicas + s.Surge
		}
		for name, n := range to {
			if n < 0 {
				t.Fatalf("set %s gets %d", name, n)
			}
			sum += n
		}
		if sum < want || sum > max(want, total(s.Sets, size)) {
			t.Fatalf("%d in all, want %d: %v", sum, want, to)
		}
	})
}
