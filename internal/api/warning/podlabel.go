package warning

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// oldNodeLabels are the labels that have better names now.
var oldNodeLabels = map[string]string{
	"beta.kubernetes.io/arch":                       `deprecated since v1.14; use "kubernetes.io/arch" instead`,
	"beta.kubernetes.io/os":                         `deprecated since v1.14; use "kubernetes.io/os" instead`,
	corev1.LabelFailureDomainBetaRegion:             `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	corev1.LabelFailureDomainBetaZone:               `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	corev1.LabelInstanceType:                        `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
	"app.kubernetes.io/created-by":                  `deprecated since v1.9`,
	"scheduler.alpha.kubernetes.io/preferAvoidPods": `deprecated since v1.22; use Taints and Tolerations instead`,
	"node-role.kubernetes.io/master":                `use "node-role.kubernetes.io/control-plane" instead`,
}

// oldLabels warns about labels of nodes that a pod should no longer name.
func (w *list) oldLabels(p *field.Path, s *corev1.PodSpec) {
	for _, key := range sortedKeys(s.NodeSelector) {
		if hint, ok := oldNodeLabels[key]; ok {
			w.say("%s: %s", p.Child("nodeSelector").Key(key), hint)
		}
	}
	if a := s.Affinity; a != nil && a.NodeAffinity != nil {
		at := p.Child("affinity", "nodeAffinity")
		if required := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			for i := range required.NodeSelectorTerms {
				w.nodeTerm(at.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms").Index(i), &required.NodeSelectorTerms[i], false)
			}
		}
		for i := range a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			w.nodeTerm(at.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("preference"),
				&a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference, true)
		}
	}
	for i := range s.TopologySpreadConstraints {
		t, at := &s.TopologySpreadConstraints[i], p.Child("topologySpreadConstraints").Index(i)
		if hint, ok := oldNodeLabels[t.TopologyKey]; ok {
			w.say("%s: %s is %s", at.Child("topologyKey"), t.TopologyKey, hint)
		}
		if t.LabelSelector == nil {
			w.nullSelector(at)
		}
	}
}

// nodeTerm warns about a term. What is only preferred may hold values that no
// label can have.
func (w *list) nodeTerm(p *field.Path, t *corev1.NodeSelectorTerm, values bool) {
	for i, e := range t.MatchExpressions {
		at := p.Child("matchExpressions").Index(i)
		if hint, ok := oldNodeLabels[e.Key]; ok {
			w.say("%s: %s is %s", at.Child("key"), e.Key, hint)
		}
		for j, v := range e.Values {
			if !values {
				break
			}
			for _, m := range validation.IsValidLabelValue(v) {
				w.say("%s: %s is invalid, %s", at.Child("values").Index(j), v, m)
			}
		}
	}
}

func (w *list) nullSelector(p *field.Path) {
	w.say("%s: a null labelSelector results in matching no pod", p.Child("labelSelector"))
}

// nullSelectors warns about affinity to nothing.
func (w *list) nullSelectors(p *field.Path, a *corev1.Affinity) {
	if a == nil {
		return
	}
	terms := func(p *field.Path, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			if required[i].LabelSelector == nil {
				w.nullSelector(p.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i))
			}
		}
		for i := range preferred {
			if preferred[i].PodAffinityTerm.LabelSelector == nil {
				w.nullSelector(p.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("podAffinityTerm"))
			}
		}
	}
	if x := a.PodAffinity; x != nil {
		terms(p.Child("podAffinity"), x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if x := a.PodAntiAffinity; x != nil {
		terms(p.Child("podAntiAffinity"), x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

// portUse is one port of a container and where it is.
type portUse struct {
	at   *field.Path
	port corev1.ContainerPort
}

// ports warns about ports of a pod that are in each other's way.
func (w *list) ports(p *field.Path, s *corev1.PodSpec) {
	used := map[string][]portUse{}
	eachContainer(p, s, func(at *field.Path, c *corev1.Container) {
		for i, port := range c.Ports {
			at := at.Child("ports").Index(i)
			if port.HostIP != "" && port.HostPort == 0 {
				w.say("%s: hostIP set without hostPort: %+v", at, untagged(port))
			}
			key := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
			for _, other := range used[key] {
				w.twoPorts(at, &port, &other)
			}
			used[key] = append(used[key], portUse{at, port})
		}
	})
	first := map[string]*field.Path{}
	eachContainer(p, s, func(at *field.Path, c *corev1.Container) {
		for i, port := range c.Ports {
			at := at.Child("ports").Index(i)
			if other, ok := first[port.Name]; ok && port.Name != "" {
				w.say("%s: duplicate port name %q with %s, services and probes that select ports by name will use %s", at, port.Name, other, other)
			} else {
				first[port.Name] = at
			}
		}
	})
}

func (w *list) twoPorts(at *field.Path, port *corev1.ContainerPort, other *portUse) {
	switch was := &other.port; {
	case port.HostIP == was.HostIP && port.HostPort == was.HostPort:
		w.say("%s: duplicate port definition with %s", at, other.at)
	case port.HostPort == 0 || was.HostPort == 0:
		w.say("%s: overlapping port definition with %s", at, other.at)
	case port.HostPort == was.HostPort && (port.HostIP == "") != (was.HostIP == ""):
		w.say("%s: dangerously ambiguous port definition with %s", at, other.at)
	}
}

// untagged prints as upstream's type does, which has no String method.
func untagged(p corev1.ContainerPort) any {
	return struct {
		Name                    string
		HostPort, ContainerPort int32
		Protocol                corev1.Protocol
		HostIP                  string
	}{p.Name, p.HostPort, p.ContainerPort, p.Protocol, p.HostIP}
}
