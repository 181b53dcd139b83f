package daemonset

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/podready"
)

// Facts are the objects that a decision rests on. They are not changed.
type Facts struct {
	Set *appsv1.DaemonSet
	// Nodes are all nodes of the cluster.
	Nodes []*corev1.Node
	// Pods are those that the set controls and that its selector matches.
	Pods []*corev1.Pod
	// Hash names the revision of the set's template.
	Hash string
	// Backoff is what the last plan has left.
	Backoff Backoff
	Now     time.Time
}

// site is one node with the set's pods on it or bound for it.
type site struct {
	name string
	// pods are those bound to the node first, then by age.
	pods []*corev1.Pod
	node bool // the node exists
	run  bool // it is to have a pod
	stay bool // a pod that it has may stay
}

// sites are all nodes, and those that pods name although they do not exist, in
// the order of their names.
func (f Facts) sites() []site {
	place := PlacementOf(f.Set)
	by := map[string]*site{}
	for _, node := range f.Nodes {
		run, stay := place.Admits(node)
		by[node.Name] = &site{name: node.Name, node: true, run: run, stay: stay}
	}
	for _, pod := range f.Pods {
		if pod.DeletionTimestamp != nil && podready.Ended(pod) {
			continue // all but gone: only a finalizer keeps it
		}
		name := NodeOf(pod)
		if name == "" {
			continue // somebody else's pod that was taken in, and has no node yet
		}
		if by[name] == nil {
			by[name] = &site{name: name}
		}
		by[name].pods = append(by[name].pods, pod)
	}
	all := make([]site, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		slices.SortFunc(by[name].pods, bySeniority)
		all = append(all, *by[name])
	}
	return all
}

// bySeniority puts pods that have their node first, then the older ones.
func bySeniority(a, b *corev1.Pod) int {
	if unbound := a.Spec.NodeName == ""; unbound != (b.Spec.NodeName == "") {
		if unbound {
			return 1
		}
		return -1
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// current reports whether the pod is of the set's template of today: it carries
// the hash, or the number that older releases counted templates by.
func (f Facts) current(pod *corev1.Pod) bool {
	if f.Hash != "" && pod.Labels[HashLabel] == f.Hash {
		return true
	}
	generation, known := templateGeneration(f.Set)
	return known && pod.Labels[generationLabel] == generation
}

func (f Facts) available(pod *corev1.Pod) bool {
	ok, _ := podready.Available(pod, f.Set.Spec.MinReadySeconds, f.Now)
	return ok
}

// pair is the pod of the set's template and that of an older one on a node; ok
// is false when there are several of a kind.
func (f Facts) pair(s site) (fresh, old *corev1.Pod, ok bool) {
	for _, pod := range s.pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		into := &old
		if f.current(pod) {
			into = &fresh
		}
		if *into != nil {
			return nil, nil, false
		}
		*into = pod
	}
	return fresh, old, true
}
