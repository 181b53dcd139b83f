package revision

import (
	"bytes"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Verb says what has to be done before the update revision exists.
type Verb int

// What may have to be done.
const (
	Keep     Verb = iota // Update exists and is the newest
	Renumber             // Update exists but is older: give it the Number of a new one
	Create               // Update must be created
)

// Plan is the answer of Decide.
type Plan struct {
	Verb Verb
	// Update is the revision of the template: an existing one, or for Create the
	// wanted object.
	Update *appsv1.ControllerRevision
	// Number is the revision number for Renumber.
	Number int64
}

// Decide finds the revision of want's data among the existing ones, which must
// be sorted. setDefaults fills what the API server fills in a template today, so
// that a revision written by an older release is not taken for a change; nil
// compares without it.
func Decide(want *appsv1.ControllerRevision, existing []*appsv1.ControllerRevision, setDefaults func(*corev1.PodTemplateSpec)) Plan {
	want.Revision = Next(existing)
	if len(existing) == 0 {
		return Plan{Verb: Create, Update: want}
	}
	newest := existing[len(existing)-1]
	for i := len(existing) - 1; i >= 0; i-- {
		if !bytes.Equal(existing[i].Data.Raw, want.Data.Raw) {
			continue
		}
		if i == len(existing)-1 {
			return Plan{Verb: Keep, Update: newest}
		}
		return Plan{Verb: Renumber, Update: existing[i], Number: want.Revision}
	}
	if sameMeaning(newest, want, setDefaults) {
		return Plan{Verb: Keep, Update: newest}
	}
	return Plan{Verb: Create, Update: want}
}

// Next is the number of a new revision.
func Next(sorted []*appsv1.ControllerRevision) int64 {
	if len(sorted) == 0 {
		return 1
	}
	return sorted[len(sorted)-1].Revision + 1
}

// sameMeaning compares what two revisions say rather than how they say it:
// `creationTimestamp: null` and fields defaulted later are no change.
func sameMeaning(a, b *appsv1.ControllerRevision, setDefaults func(*corev1.PodTemplateSpec)) bool {
	left, err := Template(a)
	if err != nil {
		return false
	}
	right, err := Template(b)
	if err != nil {
		return false
	}
	if setDefaults != nil {
		setDefaults(left)
		setDefaults(right)
	}
	return equality.Semantic.DeepEqual(left, right)
}

// Named returns the revision of that name, or nil.
func Named(revisions []*appsv1.ControllerRevision, name string) *appsv1.ControllerRevision {
	for _, rev := range revisions {
		if rev.Name == name {
			return rev
		}
	}
	return nil
}

// Excess returns the revisions beyond limit that nothing uses, oldest first. A
// negative limit keeps all.
func Excess(sorted []*appsv1.ControllerRevision, used sets.Set[string], limit int32) []*appsv1.ControllerRevision {
	var free []*appsv1.ControllerRevision
	for _, rev := range sorted {
		if !used.Has(rev.Name) {
			free = append(free, rev)
		}
	}
	if limit < 0 || len(free) <= int(limit) {
		return nil
	}
	return free[:len(free)-int(limit)]
}
