package sim

import (
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Failure is a write of a loop that the API did not take.
type Failure struct {
	Loop, Verb, Kind string
	Key              types.NamespacedName
	// Owner is the UID of the object's controller, if it has one: pods that
	// cannot be made have no name yet.
	Owner types.UID
	At    time.Time
}

func (s *Sim) noteFailure(loop, verb string, obj client.Object) {
	f := Failure{Loop: loop, Verb: verb, Kind: reflect.TypeOf(obj).Elem().Name(), Key: client.ObjectKeyFromObject(obj), At: s.clock.now}
	for _, ref := range obj.GetOwnerReferences() {
		if ref.Controller != nil && *ref.Controller {
			f.Owner = ref.UID
		}
	}
	s.failures = append(s.failures, f)
}

// Failures are the writes of loops that failed so far.
func (s *Sim) Failures() []Failure { return s.failures }

// Hot returns an error when one loop failed to write one object, or objects of
// one owner, more than once a second on average over any ten seconds from then
// on. Before that it may try more often: back-off begins fast.
func (s *Sim) Hot(from time.Time) error {
	type of struct {
		loop, verb, about string
	}
	const window, most = 10 * time.Second, 10
	last := map[of][]time.Time{}
	for _, f := range s.failures {
		if f.At.Before(from) {
			continue
		}
		about := f.Kind + " " + f.Key.String()
		if f.Owner != "" {
			about = f.Kind + " of " + string(f.Owner)
		}
		key := of{f.Loop, f.Verb, about}
		recent := append(last[key], f.At)
		for !recent[0].Add(window).After(f.At) {
			recent = recent[1:]
		}
		if last[key] = recent; len(recent) > most {
			return fmt.Errorf("%s failed to %s %s %d times within %s", f.Loop, f.Verb, about, len(recent), f.At.Sub(recent[0]))
		}
	}
	return nil
}

// Jump sets the wall clock, forward or back. Timers that run are not touched by
// that, as they go by another clock.
func (s *Sim) Jump(by time.Duration) {
	s.log("the clock jumps by %s", by)
	s.clock.now = s.clock.now.Add(by)
	for _, r := range s.loops {
		for key, at := range r.timers {
			r.timers[key] = at.Add(by)
		}
	}
}

// RunFor makes steps until exactly so much virtual time has passed.
func (s *Sim) RunFor(d time.Duration) error {
	s.until = s.clock.now.Add(d)
	defer func() { s.until = time.Time{} }()
	for s.clock.now.Before(s.until) {
		s.idle = 0 // timers go on although they change nothing
		if !s.Step() || s.failed != nil {
			break
		}
	}
	return s.failed
}

// Silence makes a toy node fall silent, or speak again: it neither starts nor
// stops anything meanwhile.
func (s *Sim) Silence(name string, silent bool) {
	for _, n := range s.nodes {
		if n.name == name {
			n.silent = silent
		}
	}
}

// Cached reads what the loops' shared cache shows at this moment.
func (s *Sim) Cached() client.Reader { return s.cached(nil) }
