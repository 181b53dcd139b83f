package schedule

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// scope is which pods a term of affinity or spreading is about.
type scope struct {
	names      []string        // namespaces by name, sorted
	namespaces labels.Selector // nil selects none beside names
	pods       labels.Selector
	key        string // equal scopes have equal keys
}

// term is one term of a pod's affinity or anti-affinity.
type term struct {
	scope
	topology string
	weight   int64
}

func newScope(names []string, namespaces, pods labels.Selector) scope {
	s := scope{names: names, namespaces: namespaces, pods: pods}
	if namespaces == nil && len(names) == 1 {
		s.key = names[0] + "\x00" + pods.String()
		return s
	}
	s.key = strings.Join(names, ",") + "\x01"
	if namespaces != nil {
		s.key += "{" + namespaces.String() + "}"
	}
	s.key += "\x00" + pods.String()
	return s
}

// newTerm reads a term of a pod; a selector that does not parse selects nothing.
func newTerm(pod *corev1.Pod, t *corev1.PodAffinityTerm) term {
	names := t.Namespaces
	if len(names) == 0 && t.NamespaceSelector == nil {
		names = []string{pod.Namespace}
	} else if len(names) > 1 {
		names = slices.Sorted(slices.Values(names))
	}
	var namespaces labels.Selector
	if t.NamespaceSelector != nil {
		namespaces = selectorOf(t.NamespaceSelector)
	}
	return term{scope: newScope(names, namespaces, selectorOf(t.LabelSelector)), topology: t.TopologyKey}
}

func selectorOf(s *metav1.LabelSelector) labels.Selector {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return parsed
}

// covers says that a pod is one of those the scope is about.
func (s *scope) covers(c *Cluster, pod *corev1.Pod) bool {
	return s.inNamespace(c, pod.Namespace) && s.pods.Matches(labels.Set(pod.Labels))
}

func (s *scope) inNamespace(c *Cluster, name string) bool {
	for _, n := range s.names {
		if n == name {
			return true
		}
	}
	return s.namespaces != nil && s.namespaces.Matches(c.namespaces[name])
}

// terms are what a pod says about other pods.
type terms struct {
	affinity, anti                   []term // required
	preferredAffinity, preferredAnti []term
}

func termsOf(pod *corev1.Pod) terms {
	var out terms
	if pod.Spec.Affinity == nil {
		return out
	}
	preferred := func(weighted []corev1.WeightedPodAffinityTerm) []term {
		var all []term
		for i := range weighted {
			t := newTerm(pod, &weighted[i].PodAffinityTerm)
			t.weight = int64(weighted[i].Weight)
			all = append(all, t)
		}
		return all
	}
	required := func(list []corev1.PodAffinityTerm) []term {
		var all []term
		for i := range list {
			all = append(all, newTerm(pod, &list[i]))
		}
		return all
	}
	if a := pod.Spec.Affinity.PodAffinity; a != nil {
		out.affinity = required(a.RequiredDuringSchedulingIgnoredDuringExecution)
		out.preferredAffinity = preferred(a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := pod.Spec.Affinity.PodAntiAffinity; a != nil {
		out.anti = required(a.RequiredDuringSchedulingIgnoredDuringExecution)
		out.preferredAnti = preferred(a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return out
}

// coversAll says that a pod is one of those that every term is about.
func coversAll(c *Cluster, all []term, pod *corev1.Pod) bool {
	for i := range all {
		if !all[i].covers(c, pod) {
			return false
		}
	}
	return len(all) > 0
}
