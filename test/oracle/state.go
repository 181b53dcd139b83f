package oracle

import (
	"encoding/json"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// State is one namespace at one moment; test/oracle/upstream has the same type.
type State struct {
	Now       metav1.Time                     `json:"now"`
	Set       *appsv1.StatefulSet             `json:"set"`
	Pods      []*corev1.Pod                   `json:"pods,omitempty"`
	Claims    []*corev1.PersistentVolumeClaim `json:"claims,omitempty"`
	Revisions []*appsv1.ControllerRevision    `json:"revisions,omitempty"`
	// Refused are the writes that the API refuses, such as "create Pod web-1".
	Refused []string `json:"refused,omitempty"`
}

// Answer is all that one sync did.
type Answer struct {
	Writes []Write `json:"writes,omitempty"`
	Events []Event `json:"events,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Write is one successful write: the object as the API holds it afterwards.
type Write struct {
	Verb   string          `json:"verb"`
	Kind   string          `json:"kind"`
	Name   string          `json:"name"`
	Object json.RawMessage `json:"object,omitempty"`
}

// Event is one recorded event.
type Event struct {
	Type    string `json:"type"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// The kinds that a sync writes.
const (
	setKind      = "StatefulSet"
	podKind      = "Pod"
	claimKind    = "PersistentVolumeClaim"
	revisionKind = "ControllerRevision"
)

// key names an object of the state.
type key struct{ kind, name string }

// kindOf is the kind of an object, "" of one that no state holds.
func kindOf(obj client.Object) string {
	switch obj.(type) {
	case *appsv1.StatefulSet:
		return setKind
	case *corev1.Pod:
		return podKind
	case *corev1.PersistentVolumeClaim:
		return claimKind
	case *appsv1.ControllerRevision:
		return revisionKind
	}
	return ""
}

// empty is a new object of that kind.
func empty(kind string) client.Object {
	switch kind {
	case setKind:
		return &appsv1.StatefulSet{}
	case podKind:
		return &corev1.Pod{}
	case claimKind:
		return &corev1.PersistentVolumeClaim{}
	}
	return &appsv1.ControllerRevision{}
}

// objects are those of the state.
func (s *State) objects() map[key]client.Object {
	all := map[key]client.Object{{setKind, s.Set.Name}: s.Set}
	for _, pod := range s.Pods {
		all[key{podKind, pod.Name}] = pod
	}
	for _, claim := range s.Claims {
		all[key{claimKind, claim.Name}] = claim
	}
	for _, rev := range s.Revisions {
		all[key{revisionKind, rev.Name}] = rev
	}
	return all
}

// copy is a state that shares nothing with this one.
func (s *State) copy() *State {
	c := &State{Now: s.Now, Set: s.Set.DeepCopy(), Refused: slices.Clone(s.Refused)}
	for _, pod := range s.Pods {
		c.Pods = append(c.Pods, pod.DeepCopy())
	}
	for _, claim := range s.Claims {
		c.Claims = append(c.Claims, claim.DeepCopy())
	}
	for _, rev := range s.Revisions {
		c.Revisions = append(c.Revisions, rev.DeepCopy())
	}
	return c
}

// start and end are the wanted ordinals: start <= ordinal < end.
func (s *State) start() int {
	if s.Set.Spec.Ordinals == nil {
		return 0
	}
	return int(s.Set.Spec.Ordinals.Start)
}

func (s *State) end() int { return s.start() + int(*s.Set.Spec.Replicas) }

// ordinal is that of a pod's name, -1 when the name is not one of the set.
func (s *State) ordinal(pod string) int {
	set, ordinal, ok := plan.ParseName(pod)
	if !ok || set != s.Set.Name {
		return -1
	}
	return ordinal
}

func (s *State) parallel() bool {
	return s.Set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement
}

// pod is the set's own pod at an ordinal, or nil.
func (s *State) pod(ordinal int) *corev1.Pod {
	i := slices.IndexFunc(s.Pods, func(pod *corev1.Pod) bool {
		return pod.Name == plan.PodName(s.Set.Name, ordinal) && metav1.IsControlledBy(pod, s.Set)
	})
	if i < 0 {
		return nil
	}
	return s.Pods[i]
}

func (s *State) claim(name string) *corev1.PersistentVolumeClaim {
	i := slices.IndexFunc(s.Claims, func(claim *corev1.PersistentVolumeClaim) bool { return claim.Name == name })
	if i < 0 {
		return nil
	}
	return s.Claims[i]
}

// after is the state that a sync leaves behind. Deleted pods terminate, what else
// is deleted is gone.
func (s *State) after(writes []Write) (*State, error) {
	all := s.copy().objects()
	for _, w := range writes {
		k := key{w.Kind, w.Name}
		if w.Verb == "delete" {
			if pod, ok := all[k].(*corev1.Pod); !ok {
				delete(all, k)
			} else if pod.DeletionTimestamp == nil {
				pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &s.Now, pod.Spec.TerminationGracePeriodSeconds
			}
			continue
		}
		obj := empty(w.Kind)
		if err := json.Unmarshal(w.Object, obj); err != nil {
			return nil, err
		}
		if old := all[k]; old != nil && obj.GetDeletionTimestamp() == nil {
			obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
			obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
		}
		all[k] = obj
	}
	next := stateOf(s.Now, s.Set.Name, all)
	next.Refused = slices.Clone(s.Refused)
	return next, nil
}

// stateOf sorts objects into a state.
func stateOf(now metav1.Time, set string, all map[key]client.Object) *State {
	s := &State{Now: now}
	for _, obj := range all {
		switch o := obj.(type) {
		case *appsv1.StatefulSet:
			if o.Name == set {
				s.Set = o
			}
		case *corev1.Pod:
			s.Pods = append(s.Pods, o)
		case *corev1.PersistentVolumeClaim:
			s.Claims = append(s.Claims, o)
		case *appsv1.ControllerRevision:
			s.Revisions = append(s.Revisions, o)
		}
	}
	slices.SortFunc(s.Pods, func(a, b *corev1.Pod) int { return byName(a, b) })
	slices.SortFunc(s.Claims, func(a, b *corev1.PersistentVolumeClaim) int { return byName(a, b) })
	slices.SortFunc(s.Revisions, func(a, b *appsv1.ControllerRevision) int { return byName(a, b) })
	return s
}
