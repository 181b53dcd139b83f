// Package revision decides which ControllerRevision stands for a workload's pod
// template: upstream's encoding, hash and names, its reuse of an older revision
// on rollback, and which old revisions are no longer needed.
package revision

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// HashLabel carries the hash that is part of a revision's name.
const HashLabel = "controller.kubernetes.io/hash"

// maxNamePrefix leaves room for the hash in a DNS subdomain of 253 characters.
const maxNamePrefix = 223

// Encode returns the data of a revision of this template: a strategic merge
// patch that replaces the template of the object it is applied to. kubectl
// rollout undo sends it as it is.
func Encode(template *corev1.PodTemplateSpec) ([]byte, error) {
	plain, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(plain, &fields); err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}

// Template returns the template that a revision stands for.
func Template(rev *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var data struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(rev.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("decode ControllerRevision %s/%s: %w", rev.Namespace, rev.Name, err)
	}
	return &data.Spec.Template, nil
}

// Hash is upstream's hash of a revision's data, made different for another
// object of the same name by the number of collisions met.
func Hash(data []byte, collisions int32) string {
	h := fnv.New32()
	h.Write(data)
	h.Write([]byte(strconv.FormatInt(int64(collisions), 10)))
	return Safe(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// Safe maps each character of a hash to one that cannot form a bad word.
func Safe(s string) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	return strings.Map(func(c rune) rune { return rune(alphabet[int(c)%len(alphabet)]) }, s)
}

// Name is the name of the revision of an owner with this hash.
func Name(owner, hash string) string {
	return owner[:min(len(owner), maxNamePrefix)] + "-" + hash
}

// New returns the revision object for a template of owner.
func New(owner metav1.Object, kind metav1.OwnerReference, template *corev1.PodTemplateSpec, number int64, collisions int32) (*appsv1.ControllerRevision, error) {
	data, err := Encode(template)
	if err != nil {
		return nil, err
	}
	hash := Hash(data, collisions)
	labels := maps.Clone(template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[HashLabel] = hash
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:            Name(owner.GetName(), hash),
			Namespace:       owner.GetNamespace(),
			Labels:          labels,
			Annotations:     maps.Clone(owner.GetAnnotations()),
			OwnerReferences: []metav1.OwnerReference{kind},
		},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}, nil
}

// Rename gives a revision the name that follows from another number of collisions.
// Its label stays, as upstream's does: the hash of the name that was taken.
func Rename(rev *appsv1.ControllerRevision, owner string, collisions int32) {
	rev.Name = Name(owner, Hash(rev.Data.Raw, collisions))
}

// Sort orders revisions from the oldest to the newest.
func Sort(revisions []*appsv1.ControllerRevision) {
	slices.SortStableFunc(revisions, func(a, b *appsv1.ControllerRevision) int {
		if a.Revision != b.Revision {
			return int(max(-1, min(1, a.Revision-b.Revision)))
		}
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
}
