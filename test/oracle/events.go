package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// told are the events of a sync, each once, sorted, but for those that upstream
// repeats with every sync: that a pod was updated, when only the owner of one of
// its claims was; that a claim is being deleted, which ours tells by a condition;
// and that a claim has another controller, which ours tells when it acts on it.
func told(s *State, a *Answer) []string {
	changed := repaired(s, a)
	out := []string{}
	for _, e := range a.Events {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Message, "Update Pod "), " ")
		switch {
		case e.Reason == "SuccessfulUpdate" && !changed[name],
			strings.HasSuffix(e.Message, "is being deleted") || strings.HasSuffix(e.Message, "is being deleted]"),
			e.Reason == "ConflictingController":
			continue
		}
		out = append(out, e.Type+" "+e.Reason+": "+e.Message)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// toldByOurs are upstream's events and those of pods that were made, which it
// does not tell of when it then fails to own their claims.
func toldByOurs(s *State, upstream *Answer) []string {
	out := told(s, upstream)
	for _, w := range upstream.Writes {
		if w.Verb == "create" && w.Kind == podKind {
			out = append(out, fmt.Sprintf("Normal SuccessfulCreate: Create Pod %s in StatefulSet %s successful", w.Name, s.Set.Name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// repaired are the pods that an update changed.
func repaired(s *State, a *Answer) map[string]bool {
	out := map[string]bool{}
	now := s.objects()
	for _, w := range a.Writes {
		if w.Kind != podKind || w.Verb == "delete" {
			continue
		}
		next := empty(podKind)
		if err := json.Unmarshal(w.Object, next); err != nil {
			panic(err)
		}
		before, err := plain(now[key{podKind, w.Name}])
		after, err2 := plain(next)
		if err != nil || err2 != nil {
			panic(err)
		}
		if w.Verb == "update" && !bytes.Equal(before, after) {
			out[w.Name] = true
		}
		now[key{podKind, w.Name}] = next
	}
	return out
}
