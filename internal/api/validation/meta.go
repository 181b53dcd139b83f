package validation

import (
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	metaPath   = field.NewPath("metadata")
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

var strictSelector = metavalidation.LabelSelectorValidationOptions{}

// meta checks the metadata of a new object.
func (f *findings) meta(m *metav1.ObjectMeta, namespaced bool, name apivalidation.ValidateNameFunc) {
	f.add(apivalidation.ValidateObjectMeta(m, namespaced, name, metaPath)...)
	f.finalizers(m)
}

// metaUpdate checks a change of metadata.
func (f *findings) metaUpdate(m, old *metav1.ObjectMeta) {
	f.add(apivalidation.ValidateObjectMetaUpdate(m, old, metaPath)...)
	f.finalizers(m)
}

// customMeta checks the metadata of a kind that upstream knows as a custom one:
// its finalizers may have any name.
func (f *findings) customMeta(m *metav1.ObjectMeta, namespaced bool) {
	f.add(apivalidation.ValidateObjectMeta(m, namespaced, apivalidation.NameIsDNSSubdomain, metaPath)...)
}

// customMetaUpdate checks a change of such metadata.
func (f *findings) customMetaUpdate(m, old *metav1.ObjectMeta) {
	f.add(apivalidation.ValidateObjectMetaUpdate(m, old, metaPath)...)
}

func (f *findings) finalizers(m *metav1.ObjectMeta) {
	for i, name := range m.Finalizers {
		if !standardFinalizer(name) {
			f.invalid(metaPath.Child("finalizers").Index(i), name, unknownFinalizer)
		}
	}
}

const unknownFinalizer = "name is neither a standard finalizer name nor is it fully qualified"

func standardFinalizer(name string) bool {
	switch name {
	case "kubernetes", metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
		return true
	}
	return strings.Contains(name, "/")
}

// labelled checks the labels and annotations of a template.
func (f *findings) labelled(m *metav1.ObjectMeta, p *field.Path) {
	f.add(metavalidation.ValidateLabels(m.Labels, p.Child("labels"))...)
	f.add(apivalidation.ValidateAnnotations(m.Annotations, p.Child("annotations"))...)
}

func (f *findings) selector(s *metav1.LabelSelector, p *field.Path) {
	f.add(metavalidation.ValidateLabelSelector(s, strictSelector, p)...)
}

func (f *findings) dnsLabel(p *field.Path, value string) {
	for _, m := range validation.IsDNS1123Label(value) {
		f.add(field.Invalid(p, value, m).WithOrigin("format=dns-label"))
	}
}

func (f *findings) dnsSubdomain(p *field.Path, value string) {
	f.messages(p, value, validation.IsDNS1123Subdomain(value))
}

func (f *findings) qualifiedName(p *field.Path, value string) {
	f.messages(p, value, validation.IsQualifiedName(value))
}

// immutable refuses any change.
func (f *findings) immutable(p *field.Path, value, old any) {
	f.add(apivalidation.ValidateImmutableField(value, old, p)...)
}

func (f *findings) notNegative(p *field.Path, value int64) {
	f.add(apivalidation.ValidateNonnegativeField(value, p)...)
}

const fieldIsImmutable = apivalidation.FieldImmutableErrorMsg
