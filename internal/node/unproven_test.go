package node

import (
	"testing"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podsync"
)

// What a container does is shown when its start is known to be good, also that it
// has ended meanwhile.
func TestUnprovenStart(t *testing.T) {
	w := &worker{}
	for _, phase := range []podsync.Phase{podsync.Created, podsync.Running, podsync.Exited} {
		r := cri.Record{Container: podsync.Container{ID: "one", Phase: phase}}
		w.prove("one")
		if got := w.phaseOf(r); got != podsync.Created {
			t.Errorf("%s: shown as %s", phase, got)
		}
		for _, other := range []string{"two", ""} {
			w.prove(other)
			if got := w.phaseOf(r); got != phase {
				t.Errorf("%s: shown as %s when %q is looked at", phase, got, other)
			}
		}
	}
}
