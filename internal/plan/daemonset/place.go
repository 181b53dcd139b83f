package daemonset

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"berth.dev/berth/internal/plan/toleration"
)

// Placement says which nodes a DaemonSet's pods belong on.
type Placement struct {
	nodeName    string
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
}

// PlacementOf reads the set's template.
func PlacementOf(set *appsv1.DaemonSet) Placement {
	spec := &set.Spec.Template.Spec
	return Placement{
		nodeName:    spec.NodeName,
		affinity:    nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *spec}),
		tolerations: tolerations(spec),
	}
}

// Same reports whether two states of a node, nil for none, mean the same.
func (p Placement) Same(a, b *corev1.Node) bool {
	runA, stayA := p.Admits(a)
	runB, stayB := p.Admits(b)
	return runA == runB && stayA == stayB
}

// Admits reports whether the node is to have a pod, and whether one that it has
// may stay.
func (p Placement) Admits(node *corev1.Node) (run, stay bool) {
	if node == nil || p.nodeName != "" && p.nodeName != node.Name {
		return false, false
	}
	if fits, err := p.affinity.Match(node); !fits || err != nil {
		return false, false
	}
	taints := node.Spec.Taints
	if toleration.Untolerated(p.tolerations, taints, corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule) == nil {
		return true, true
	}
	return false, toleration.Untolerated(p.tolerations, taints, corev1.TaintEffectNoExecute) == nil
}

// tolerations are those of the template and those that every daemon has: what
// ails a node is no reason to take its daemons away, or not to start them.
func tolerations(spec *corev1.PodSpec) []corev1.Toleration {
	always := []corev1.Toleration{
		{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeDiskPressure, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodePIDPressure, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule},
	}
	if spec.HostNetwork {
		always = append(always, corev1.Toleration{Key: corev1.TaintNodeNetworkUnavailable, Effect: corev1.TaintEffectNoSchedule})
	}
	all := slices.Clone(spec.Tolerations)
	for _, t := range always {
		t.Operator = corev1.TolerationOpExists
		all = with(all, t)
	}
	return all
}

// with replaces the tolerations of the same taint, or adds this one.
func with(all []corev1.Toleration, t corev1.Toleration) []corev1.Toleration {
	replaced := false
	for i := range all {
		if t.MatchToleration(&all[i]) {
			if equality.Semantic.DeepEqual(t, all[i]) {
				return all
			}
			all[i], replaced = t, true
		}
	}
	if !replaced {
		all = append(all, t)
	}
	return all
}

// pinned is the affinity with its required part replaced by the node's name.
func pinned(affinity *corev1.Affinity, node string) *corev1.Affinity {
	if affinity == nil {
		affinity = &corev1.Affinity{}
	}
	if affinity.NodeAffinity == nil {
		affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}}},
	}
	return affinity
}

// NodeOf is the node that the pod is on or pinned to, "" for none.
func NodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key != metav1.ObjectNameField || f.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if len(f.Values) != 1 {
				return ""
			}
			return f.Values[0]
		}
	}
	return ""
}

// templateGeneration is the number of the set's template, where its annotation
// says one.
func templateGeneration(set *appsv1.DaemonSet) (string, bool) {
	n, err := strconv.ParseInt(set.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	return strconv.FormatInt(n, 10), err == nil
}
