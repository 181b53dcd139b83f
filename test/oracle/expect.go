package oracle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Expectation is what ours has to do, by what upstream did.
type Expectation struct {
	After *State
	// Sequence is what is done to the pods of an ordered set.
	Sequence []string
	// Events are those to be recorded, nil when they are not compared.
	Events []string
	// Fails: somebody else's pod is in the way, or the API refuses a write.
	Fails bool
	// Blind are objects that are not looked at.
	Blind map[key]bool
	// NoRevisions: ours may not write any, and says nothing of them.
	NoRevisions bool
	// Used are the reasons for which upstream's answer was changed, Writes counts it.
	Used   []string
	Writes map[string]int
}

// errUndecided: somebody else's pod is in the way of a Parallel set. Where upstream
// stops at that depends on its batches, so no answer is the right one.
var errUndecided = errors.New("undecided")

// question is the state that upstream is asked about: the same but for what 1.36
// answers unlike 1.37, or would let end the sync of a Parallel set.
func question(s *State) *State {
	if !s.parallel() {
		if len(s.Refused) == 0 {
			return s
		}
		q := s.copy()
		q.Refused = slices.DeleteFunc(q.Refused, func(write string) bool {
			pod, updates := strings.CutPrefix(write, "update Pod ")
			claim, owns := strings.CutPrefix(write, "update PersistentVolumeClaim ")
			return updates && s.sound(s.pod(s.ordinal(pod))) || // upstream may write it all the same, unchanged
				owns && s.claim(claim) == nil // and owns in a second write what it makes
		})
		return q
	}
	q := s.copy()
	for _, ordinal := range s.losing() {
		for _, claim := range q.claimsOf(ordinal) {
			claim.DeletionTimestamp = nil
		}
	}
	if rolling := q.Set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && s.broken() {
		rolling.MaxUnavailable.Type, rolling.MaxUnavailable.IntVal = 0, 1 // used up: nothing is taken
	}
	return q
}

// broken reports whether a wanted pod is not available.
func (s *State) broken() bool {
	for _, pod := range s.slots() {
		if s.unavailable(pod) {
			return true
		}
	}
	return false
}

// Expect asks upstream and says what follows for ours.
func Expect(up *Upstream, s *State) (*Expectation, error) {
	answer, err := up.Ask(question(s))
	if err != nil {
		return nil, err
	}
	return expect(s, answer)
}

// expect says what follows for ours from upstream's answer to the question.
func expect(s *State, answer *Answer) (*Expectation, error) {
	e := &Expectation{Blind: map[key]bool{}, Writes: map[string]int{}}
	for _, w := range answer.Writes {
		e.Writes[w.Verb+" "+w.Kind]++
	}
	switch {
	case answer.Error == "" || !s.parallel() && strings.Contains(answer.Error, "is being deleted"):
	case !s.parallel() && (strings.Contains(answer.Error, "already exists") || strings.Contains(answer.Error, "not today")):
		e.Fails = true
	case strings.Contains(answer.Error, "already exists"):
		return nil, errUndecided
	default:
		return nil, fmt.Errorf("upstream fails: %s", answer.Error)
	}
	var err error
	if e.After, err = s.after(answer.Writes); err != nil {
		return nil, err
	}
	if !s.parallel() {
		e.Sequence = sequence(answer)
	}
	if !s.parallel() || len(s.losing()) == 0 && !s.broken() { // upstream was asked about this very state
		e.Events = toldByOurs(s, answer)
	}
	if err := e.keepConditions(s, answer); err != nil {
		return nil, err
	}
	e.ownAtOnce(s, answer)
	e.ownWithPod(s, answer)
	e.ownCount(s, answer)
	e.rollParallel(s)
	e.complete(s)
	e.forgetHistory(s, answer)
	e.pastClaims(s)
	return e, nil
}
