package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Findings gathers the field errors of one object.
type Findings = findings

// List is what was found. What upstream's types declare of themselves is
// checked after all else there, so it comes last.
func (f *findings) List() field.ErrorList {
	if len(f.declared) == 0 {
		return f.list
	}
	return append(f.list[:len(f.list):len(f.list)], f.declared...)
}

// Fixed refuses any change of a value that upstream's types declare immutable.
func (f *findings) Fixed(p *field.Path, value, old any) {
	if !equality.Semantic.DeepEqual(value, old) {
		f.AddDeclared(field.Invalid(p, nil, fieldIsImmutable).WithOrigin("immutable"))
	}
}

// Declared requires a text that upstream's types declare required.
func (f *findings) Declared(p *field.Path, value string) bool {
	if value == "" {
		f.AddDeclared(field.Required(p, ""))
	}
	return value != ""
}

// AddDeclared takes up findings that upstream's types declare.
func (f *findings) AddDeclared(errs ...*field.Error) { f.declared = append(f.declared, errs...) }

// Add takes up findings of others.
func (f *findings) Add(errs ...*field.Error) { f.add(errs...) }

// Invalid says what is wrong with a value.
func (f *findings) Invalid(p *field.Path, value any, detail string) { f.invalid(p, value, detail) }

// Required says that a value is missing.
func (f *findings) Required(p *field.Path, detail string) { f.required(p, detail) }

// Forbidden says that there may be no such value.
func (f *findings) Forbidden(p *field.Path, detail string) { f.forbidden(p, detail) }

// Messages adds one invalid value for each message.
func (f *findings) Messages(p *field.Path, value any, messages []string) {
	f.messages(p, value, messages)
}

// NotEmpty requires a text.
func (f *findings) NotEmpty(p *field.Path, value string) bool { return f.notEmpty(p, value) }

// Immutable refuses any change.
func (f *findings) Immutable(p *field.Path, value, old any) { f.immutable(p, value, old) }

// NotNegative refuses a negative number.
func (f *findings) NotNegative(p *field.Path, value int64) { f.notNegative(p, value) }

// DNSLabel requires a DNS label.
func (f *findings) DNSLabel(p *field.Path, value string) { f.dnsLabel(p, value) }

// DNSSubdomain requires a DNS name.
func (f *findings) DNSSubdomain(p *field.Path, value string) { f.dnsSubdomain(p, value) }

// QualifiedName requires a name as labels have them.
func (f *findings) QualifiedName(p *field.Path, value string) { f.qualifiedName(p, value) }

// ContainerResourceName requires the name of a resource that containers use.
func (f *findings) ContainerResourceName(p *field.Path, name corev1.ResourceName) {
	f.containerResourceName(p, name)
}

// Selector checks a label selector.
func (f *findings) Selector(s *metav1.LabelSelector, p *field.Path) { f.selector(s, p) }

// Labelled checks the labels and annotations of a template.
func (f *findings) Labelled(m *metav1.ObjectMeta, p *field.Path) { f.labelled(m, p) }

// Meta checks the metadata of a new object.
func (f *findings) Meta(m *metav1.ObjectMeta, namespaced bool, name apivalidation.ValidateNameFunc) {
	f.meta(m, namespaced, name)
}

// MetaUpdate checks a change of metadata.
func (f *findings) MetaUpdate(m, old *metav1.ObjectMeta) { f.metaUpdate(m, old) }

// Among requires one of the allowed values.
func Among[T ~string](f *Findings, p *field.Path, value T, allowed ...T) {
	among(f, p, value, allowed...)
}

// SetAndAmong requires a value, and one of the allowed ones.
func SetAndAmong[T ~string](f *Findings, p *field.Path, value T, allowed ...T) {
	setAndAmong(f, p, value, allowed...)
}

// Names remembers which names a list has used.
type Names = names

// Use says whether name is new.
func (n names) Use(name string) bool { return n.use(name) }

// CSIDriver checks the name of a driver.
func (f *findings) CSIDriver(p *field.Path, name string) { f.csiDriver(p, name) }

// Parameters checks what is handed to a driver.
func (f *findings) Parameters(p *field.Path, parameters map[string]string) {
	f.parameters(p, parameters)
}

// NodeSelector checks which nodes are meant.
func (f *findings) NodeSelector(p *field.Path, s *corev1.NodeSelector) { f.nodeSelector(p, s) }
