package staticpod

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Mirrors is what is known of a node's mirrors.
type Mirrors struct {
	// Wanted are the static pods that files describe and that the node runs.
	Wanted []*corev1.Pod
	// There are the mirrors that the API has.
	There []*corev1.Pod
	// Alive are the pods that the node has something of, also those that no file
	// describes any more.
	Alive map[types.UID]bool
}

// Steps are what brings the mirrors to what they should be.
type Steps struct {
	Delete []*corev1.Pod // mirrors, by force
	Create []*corev1.Pod // static pods that have no mirror
}

// Steps says what to do. A mirror stays as long as its pod has something left,
// and one that somebody deletes is made anew.
func (m Mirrors) Steps() Steps {
	type name struct{ namespace, name string }
	wanted, shown := map[name]*corev1.Pod{}, map[name]bool{}
	for _, p := range m.Wanted {
		wanted[name{p.Namespace, p.Name}] = p
	}
	var s Steps
	for _, mirror := range m.There {
		of := name{mirror.Namespace, mirror.Name}
		static := wanted[of]
		mine := static != nil && static.UID == Identity(mirror)
		switch {
		case mirror.DeletionTimestamp == nil && (mine || m.Alive[Identity(mirror)]):
			shown[of] = true
		default:
			s.Delete = append(s.Delete, mirror)
		}
	}
	for of, p := range wanted {
		if !shown[of] {
			s.Create = append(s.Create, p)
		}
	}
	slices.SortFunc(s.Create, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return s
}
