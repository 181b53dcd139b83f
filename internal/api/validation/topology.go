package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// topologySpread checks how the pods of a group are to be spread.
func (c *podCheck) topologySpread(p *field.Path, list []corev1.TopologySpreadConstraint) {
	for i := range list {
		t, p := &list[i], p.Index(i)
		if t.MaxSkew <= 0 {
			c.invalid(p.Child("maxSkew"), t.MaxSkew, mustBePositive)
		}
		if t.TopologyKey == "" {
			c.required(p.Child("topologyKey"), "can not be empty")
		}
		among(&c.findings, p.Child("whenUnsatisfiable"), t.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
		for _, later := range list[i+1:] {
			if later.TopologyKey == t.TopologyKey && later.WhenUnsatisfiable == t.WhenUnsatisfiable {
				c.add(field.Duplicate(p.Child("{topologyKey, whenUnsatisfiable}"),
					fmt.Sprintf("{%v, %v}", t.TopologyKey, t.WhenUnsatisfiable)))
				break
			}
		}
		if n := t.MinDomains; n != nil {
			if *n <= 0 {
				c.invalid(p.Child("minDomains"), n, mustBePositive)
			}
			if t.WhenUnsatisfiable != corev1.DoNotSchedule {
				c.invalid(p.Child("minDomains"), n, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s",
					corev1.DoNotSchedule, t.WhenUnsatisfiable))
			}
		}
		c.inclusion(p.Child("nodeAffinityPolicy"), t.NodeAffinityPolicy)
		c.inclusion(p.Child("nodeTaintsPolicy"), t.NodeTaintsPolicy)
		c.labelKeys(p, t.LabelSelector, t.MatchLabelKeys, nil)
		c.selector(t.LabelSelector, p.Child("labelSelector"))
	}
}

func (c *podCheck) inclusion(p *field.Path, policy *corev1.NodeInclusionPolicy) {
	if policy != nil {
		among(&c.findings, p, *policy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	}
}
