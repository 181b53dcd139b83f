package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var taintEffects = []corev1.TaintEffect{
	corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute,
}

func (f *findings) tolerations(p *field.Path, list []corev1.Toleration) {
	for i := range list {
		t, p := &list[i], p.Index(i)
		operator := p.Child("operator")
		if t.Key != "" {
			f.add(metavalidation.ValidateLabelName(t.Key, p.Child("key"))...)
		} else if t.Operator != corev1.TolerationOpExists {
			f.invalid(operator, t.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			f.invalid(p.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
		}
		switch t.Operator {
		case corev1.TolerationOpEqual, "":
			if m := validation.IsValidLabelValue(t.Value); len(m) > 0 {
				f.invalid(operator, t.Value, strings.Join(m, ";"))
			}
		case corev1.TolerationOpExists:
			if t.Value != "" {
				f.invalid(operator, t.Value, "value must be empty when `operator` is 'Exists'")
			}
		case corev1.TolerationOpLt, corev1.TolerationOpGt: // known, and behind a gate that is off
			f.add(field.NotSupported(operator, t.Operator, []corev1.TolerationOperator{
				corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt,
			}))
		default:
			among(f, operator, t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)
		}
		if t.Effect != "" {
			among(f, p.Child("effect"), t.Effect, taintEffects...)
		}
	}
}

func (f *findings) taints(p *field.Path, list []corev1.Taint) {
	used := names{}
	for i := range list {
		t, p := &list[i], p.Index(i)
		f.add(metavalidation.ValidateLabelName(t.Key, p.Child("key"))...)
		if m := validation.IsValidLabelValue(t.Value); len(m) > 0 {
			f.invalid(p.Child("value"), t.Value, strings.Join(m, ";"))
		}
		setAndAmong(f, p.Child("effect"), t.Effect, taintEffects...)
		if !used.use(string(t.Effect) + " " + t.Key) {
			e := field.Duplicate(p, t)
			e.Detail = "taints must be unique by key and effect pair"
			f.add(e)
		}
	}
}
