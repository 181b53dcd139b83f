package address

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Linger is how long the addresses of a pod rest that vanished while its
// containers might still run, as after a forced deletion.
const Linger = 30 * time.Second

// SetState is what a StatefulSet wants. A nil *SetState is a set that does not exist.
type SetState struct {
	UID      types.UID
	Deleting bool
	// Start and Replicas are spec.ordinals.start and spec.replicas.
	Start, Replicas int
	Retention       Retention
}

// Gone is a record whose pod does not exist.
type Gone struct {
	Record Record
	Set    *SetState
	// Ended: when last seen, none of the pod's containers ran any more.
	Ended bool
	// For is how long the pod has been known to be gone.
	For time.Duration
	// Waived: somebody has deleted the record to have the addresses back.
	Waived bool
}

// Why is the reason of a decision, from a closed list.
type Why string

// The reasons.
const (
	OrdinalWanted Why = "OrdinalWanted" // the set still wants this ordinal: its pod comes back
	Retained      Why = "Retained"      // the set asked to keep it
	MightRun      Why = "MightRun"      // the pod vanished, but its containers may still run
	NotStateful   Why = "NotStateful"   // no StatefulSet owns the pod
	SetDeleted    Why = "SetDeleted"    // the StatefulSet is gone or being deleted
	ScaledDown    Why = "ScaledDown"    // the ordinal lies outside the set's replicas
)

// Verdict says whether to keep a record. When it is kept only for a while,
// Again says when to ask next.
type Verdict struct {
	Keep  bool
	Again time.Duration
	Why   Why
}

// AfterGone decides what happens to the addresses of a pod that is gone.
func AfterGone(g Gone) Verdict {
	why := g.unwanted()
	if why == "" {
		return Verdict{Keep: true, Why: OrdinalWanted}
	}
	if keep, again := g.retained(why); keep {
		return Verdict{Keep: true, Again: again, Why: Retained}
	}
	if !g.Ended && g.For < Linger {
		return Verdict{Keep: true, Again: Linger - g.For, Why: MightRun}
	}
	return Verdict{Why: why}
}

// retained says whether the set asked to keep what it does not want, and until
// when. A set that exists says so itself; of one that does not, its record does.
func (g *Gone) retained(why Why) (keep bool, again time.Duration) {
	r := g.Record.Retention
	if g.Set != nil && g.Set.UID == g.Record.Set.UID {
		r = g.Set.Retention
	}
	if g.Waived || why == ScaledDown && !r.WhenScaled || why == SetDeleted && !r.WhenDeleted || why == NotStateful {
		return false, 0
	}
	if r.For == 0 {
		return true, 0
	}
	return g.For < r.For, r.For - g.For
}

// unwanted is why nobody comes back for the record, or "".
func (g *Gone) unwanted() Why {
	set, of := g.Set, g.Record.Set
	switch {
	case of.Name == "":
		return NotStateful
	case set == nil || set.Deleting || set.UID != of.UID:
		return SetDeleted
	case of.Ordinal < set.Start || of.Ordinal >= set.Start+set.Replicas:
		return ScaledDown
	}
	return ""
}
