package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api/defaults"
)

// Compare returns how ours differs from what is expected, nothing when it does not.
func Compare(s *State, e *Expectation, ours *Answer) ([]string, error) {
	var found []string
	if e.Fails != (ours.Error != "") {
		found = append(found, fmt.Sprintf("upstream fails: %t, ours: %q", e.Fails, ours.Error))
	}
	after, err := s.after(ours.Writes)
	if err != nil {
		return nil, err
	}
	if !s.parallel() {
		if diff := cmp.Diff(e.Sequence, sequence(ours)); diff != "" {
			found = append(found, "what is done to pods, in order (-upstream +ours):\n"+diff)
		}
	}
	if e.Events != nil {
		if diff := cmp.Diff(e.Events, told(s, ours)); diff != "" {
			found = append(found, "events (-upstream +ours):\n"+diff)
		}
	}
	found = append(found, useless(s, ours)...)
	e.lookAway(after)
	want, got := e.After.objects(), after.objects()
	for _, k := range keys(want, got) {
		if e.Blind[k] || e.NoRevisions && k.kind == revisionKind {
			continue
		}
		wanted, err := plain(want[k])
		if err != nil {
			return nil, err
		}
		have, err := plain(got[k])
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(wanted, have) {
			found = append(found, fmt.Sprintf("%s %s (-upstream +ours):\n%s", k.kind, k.name, diffJSON(wanted, have)))
		}
	}
	return append(found, e.offLimits(s, ours)...), nil
}

// lookAway makes equal what is not compared of the status.
func (e *Expectation) lookAway(after *State) {
	if !e.NoRevisions {
		return
	}
	want, got := &e.After.Set.Status, &after.Set.Status
	want.CurrentRevision, want.UpdateRevision, want.CollisionCount = got.CurrentRevision, got.UpdateRevision, got.CollisionCount
	want.CurrentReplicas, want.UpdatedReplicas = got.CurrentReplicas, got.UpdatedReplicas
}

// offLimits are writes of ours to what the comparison does not look at.
func (e *Expectation) offLimits(s *State, ours *Answer) []string {
	var found []string
	for _, w := range ours.Writes {
		if e.NoRevisions && w.Kind == revisionKind && w.Verb != "delete" || w.Verb == "create" && w.Kind == podKind && e.Blind[key{w.Kind, w.Name}] {
			found = append(found, fmt.Sprintf("ours: %s %s %s, which it may not", w.Verb, w.Kind, w.Name))
		}
	}
	return found
}

// sequence is what a sync does to pods: made and deleted in this order.
func sequence(a *Answer) []string {
	var out []string
	for _, w := range a.Writes {
		if w.Kind == podKind && (w.Verb == "create" || w.Verb == "delete") {
			out = append(out, w.Verb+" "+w.Name)
		}
	}
	return out
}

// useless are the updates of ours that change nothing, and pods made before their claims.
func useless(s *State, a *Answer) []string {
	var found []string
	now := map[key][]byte{}
	for k, obj := range s.objects() {
		now[k], _ = plain(obj)
	}
	for _, w := range a.Writes {
		k := key{w.Kind, w.Name}
		if w.Verb == "delete" {
			continue
		}
		obj := empty(w.Kind)
		if err := json.Unmarshal(w.Object, obj); err != nil {
			return []string{err.Error()}
		}
		text, _ := plain(obj)
		if bytes.Equal(text, now[k]) {
			found = append(found, fmt.Sprintf("ours: %s %s %s changes nothing", w.Verb, w.Kind, w.Name))
		}
		now[k] = text
		if pod, ok := obj.(*corev1.Pod); ok && w.Verb == "create" {
			for _, v := range pod.Spec.Volumes {
				if v.PersistentVolumeClaim != nil && now[key{claimKind, v.PersistentVolumeClaim.ClaimName}] == nil {
					found = append(found, fmt.Sprintf("ours: pod %s is made before its claim %s", w.Name, v.PersistentVolumeClaim.ClaimName))
				}
			}
		}
	}
	return found
}

func keys[V any](a, b map[key]V) []key {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.SortedFunc(maps.Keys(all), func(x, y key) int {
		return strings.Compare(x.kind+"/"+x.name, y.kind+"/"+y.name)
	})
}

// plain is an object as JSON without what the server keeps to itself, defaults
// filled; of the set only the status. The volumes of a pod are sorted: upstream
// adds those of claims in any order.
func plain(obj client.Object) ([]byte, error) {
	if obj == nil {
		return []byte("null"), nil
	}
	obj = obj.DeepCopyObject().(client.Object)
	obj.SetResourceVersion("")
	switch o := obj.(type) {
	case *appsv1.StatefulSet:
		return json.Marshal(o.Status)
	case *corev1.Pod:
		defaults.Pod(o)
		slices.SortFunc(o.Spec.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
	case *corev1.PersistentVolumeClaim:
		defaults.PersistentVolumeClaim(o)
		o.TypeMeta.Kind, o.TypeMeta.APIVersion = "", ""
	}
	return json.Marshal(obj)
}

func diffJSON(a, b []byte) string {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return fmt.Sprintf("-%s\n+%s", a, b)
	}
	return cmp.Diff(x, y)
}
