package validation

import (
	"k8s.io/apimachinery/pkg/api/validate/content"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// RuntimeClass checks a new RuntimeClass.
func RuntimeClass(c *nodev1.RuntimeClass) field.ErrorList {
	f := &findings{}
	f.meta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	if p := field.NewPath("handler"); f.Declared(p, c.Handler) {
		for _, message := range content.IsDNS1123Label(c.Handler) {
			f.AddDeclared(field.Invalid(p, c.Handler, message))
		}
	}
	if c.Overhead != nil {
		f.requirements(field.NewPath("overhead"), &corev1.ResourceRequirements{Limits: c.Overhead.PodFixed}, f.containerResourceName)
	}
	if s := c.Scheduling; s != nil {
		p := field.NewPath("scheduling")
		f.add(metavalidation.ValidateLabels(s.NodeSelector, p.Child("nodeSelector"))...)
		f.differentTolerations(p.Child("tolerations"), s.Tolerations)
	}
	return f.List()
}

func (f *findings) differentTolerations(p *field.Path, list []corev1.Toleration) {
	f.tolerations(p, list)
	seen := map[corev1.Toleration]bool{}
	for i, t := range list {
		key := corev1.Toleration{Key: t.Key, Operator: t.Operator, Value: t.Value, Effect: t.Effect}
		if seen[key] {
			f.add(field.Duplicate(p.Index(i), t))
		}
		seen[key] = true
	}
}

// RuntimeClassUpdate checks a change of one.
func RuntimeClassUpdate(c, old *nodev1.RuntimeClass) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.Fixed(field.NewPath("handler"), c.Handler, old.Handler)
	return f.List()
}
