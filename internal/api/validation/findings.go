package validation

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// findings gathers the field errors of one object.
type findings struct {
	list     field.ErrorList
	declared field.ErrorList // comes last, see List
}

func (f *findings) add(errs ...*field.Error) { f.list = append(f.list, errs...) }

func (f *findings) invalid(p *field.Path, value any, detail string) {
	f.add(field.Invalid(p, value, detail))
}

func (f *findings) required(p *field.Path, detail string) { f.add(field.Required(p, detail)) }

func (f *findings) forbidden(p *field.Path, detail string) { f.add(field.Forbidden(p, detail)) }

// messages adds one invalid value for each message.
func (f *findings) messages(p *field.Path, value any, messages []string) {
	for _, m := range messages {
		f.invalid(p, value, m)
	}
}

// notEmpty requires a text.
func (f *findings) notEmpty(p *field.Path, value string) bool {
	if value == "" {
		f.required(p, "")
		return false
	}
	return true
}

// among requires one of the allowed values.
func among[T ~string](f *findings, p *field.Path, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		f.add(field.NotSupported(p, value, allowed))
	}
}

// setAndAmong requires a value, and one of the allowed ones.
func setAndAmong[T ~string](f *findings, p *field.Path, value T, allowed ...T) {
	if value == "" {
		f.required(p, "")
		return
	}
	among(f, p, value, allowed...)
}

// names remembers which names a list has used.
type names map[string]struct{}

// use says whether name is new.
func (n names) use(name string) bool {
	if _, used := n[name]; used {
		return false
	}
	n[name] = struct{}{}
	return true
}

func (n names) has(name string) bool {
	_, used := n[name]
	return used
}
