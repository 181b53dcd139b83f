package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// gatedUpdate checks what may be narrowed while a pod waits at a scheduling
// gate, and undoes it in rest so that only forbidden changes remain.
func (c *podCheck) gatedUpdate(rest, old *corev1.PodSpec) {
	for key, was := range old.NodeSelector {
		if is, ok := rest.NodeSelector[key]; !ok || is != was {
			c.invalid(specPath.Child("nodeSelector"), rest.NodeSelector,
				"only additions to spec.nodeSelector are allowed (no mutations or deletions)")
			break
		}
	}
	rest.NodeSelector = old.NodeSelector

	was, is := nodeAffinityOf(old), nodeAffinityOf(rest)
	if equality.Semantic.DeepEqual(was, is) {
		return
	}
	c.narrowedAffinity(is, was)
	switch {
	case rest.Affinity == nil:
		rest.Affinity = &corev1.Affinity{NodeAffinity: was}
	case old.Affinity == nil && rest.Affinity.PodAffinity == nil && rest.Affinity.PodAntiAffinity == nil:
		rest.Affinity = nil
	default:
		rest.Affinity.NodeAffinity = was
	}
}

func nodeAffinityOf(s *corev1.PodSpec) *corev1.NodeAffinity {
	if s.Affinity == nil {
		return nil
	}
	return s.Affinity.NodeAffinity
}

func requiredNodeTerms(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

func (c *podCheck) narrowedAffinity(is, was *corev1.NodeAffinity) {
	p := specPath.Child("affinity", "nodeAffinity", requiredTerms, "nodeSelectorTerms")
	terms, old := requiredNodeTerms(is), requiredNodeTerms(was)
	if len(old) == 0 {
		return
	}
	if len(old) != len(terms) {
		c.invalid(p, terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
		return
	}
	for i := range old {
		if !narrower(&terms[i], &old[i]) {
			c.invalid(p.Index(i), terms[i], "only additions are allowed (no mutations or deletions)")
		}
	}
}

func narrower(t, old *corev1.NodeSelectorTerm) bool {
	// An empty term matches nothing; anything added would widen it.
	if len(old.MatchExpressions)+len(old.MatchFields) == 0 {
		return len(t.MatchExpressions)+len(t.MatchFields) == 0
	}
	return startsWith(t.MatchExpressions, old.MatchExpressions) && startsWith(t.MatchFields, old.MatchFields)
}

func startsWith(list, old []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(old) && equality.Semantic.DeepEqual(list[:len(old):len(old)], old[:len(old):len(old)])
}
