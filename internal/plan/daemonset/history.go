package daemonset

import (
	"bytes"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
)

// History is what has to be done before the set's revisions are in order.
type History struct {
	revision.Plan
	// Duplicates say the same as the revision of the set's template, Relabel are
	// the pods that were made of them.
	Duplicates []*appsv1.ControllerRevision
	Relabel    []*corev1.Pod
}

// Revise finds the revision of the set's template among the existing ones,
// which must be sorted and each have its hash label. setDefaults is as
// revision.Decide has it.
func Revise(set *appsv1.DaemonSet, owner metav1.OwnerReference, existing []*appsv1.ControllerRevision, pods []*corev1.Pod, setDefaults func(*corev1.PodTemplateSpec)) (History, error) {
	want, err := newRevision(set, owner)
	if err != nil {
		return History{}, err
	}
	h := History{Plan: revision.Decide(want, existing, setDefaults)}
	if h.Verb == revision.Create {
		return h, nil
	}
	if h.Verb == revision.Keep && tied(h.Update, existing) { // with an older one that was taken in
		h.Verb, h.Number = revision.Renumber, revision.Next(existing)
	}
	hashes := sets.New[string]()
	for _, rev := range existing {
		if rev != h.Update && bytes.Equal(rev.Data.Raw, want.Data.Raw) {
			h.Duplicates = append(h.Duplicates, rev)
			hashes.Insert(rev.Labels[HashLabel])
		}
	}
	for _, pod := range pods {
		if hash := pod.Labels[HashLabel]; hashes.Has(hash) && hash != h.Update.Labels[HashLabel] {
			h.Relabel = append(h.Relabel, pod)
		}
	}
	return h, nil
}

func tied(update *appsv1.ControllerRevision, all []*appsv1.ControllerRevision) bool {
	return slices.ContainsFunc(all, func(rev *appsv1.ControllerRevision) bool {
		return rev != update && rev.Revision == update.Revision
	})
}

func newRevision(set *appsv1.DaemonSet, owner metav1.OwnerReference) (*appsv1.ControllerRevision, error) {
	data, err := revision.Encode(&set.Spec.Template)
	if err != nil {
		return nil, err
	}
	hash := revision.TemplateHash(&set.Spec.Template, set.Status.CollisionCount)
	labels := maps.Clone(set.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[HashLabel] = hash
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:            revision.Name(set.Name, hash),
			Namespace:       set.Namespace,
			Labels:          labels,
			Annotations:     maps.Clone(set.Annotations),
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Data: runtime.RawExtension{Raw: data},
	}, nil
}

// Excess are the revisions beyond the set's limit, oldest first, but for those
// that a pod was made of. The one of the set's template does not count.
func Excess(set *appsv1.DaemonSet, sorted []*appsv1.ControllerRevision, update string, pods []*corev1.Pod) []*appsv1.ControllerRevision {
	used := sets.New[string]()
	for _, pod := range pods {
		used.Insert(pod.Labels[HashLabel])
	}
	var free []*appsv1.ControllerRevision
	old := 0
	for _, rev := range sorted {
		if rev.Name == update {
			continue
		}
		old++
		if hash := rev.Labels[HashLabel]; hash == "" || !used.Has(hash) {
			free = append(free, rev)
		}
	}
	tooMany := old - int(ptr.Deref(set.Spec.RevisionHistoryLimit, 10))
	return free[:min(len(free), max(tooMany, 0))]
}
