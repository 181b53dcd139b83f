package apps

import (
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/plan/address"
)

// addressErrors refuses what a set says about its pods' addresses and cannot be
// read. One that was there before is left alone: what reads it stays on the safe side.
func addressErrors(set, old *appsv1.StatefulSet) field.ErrorList {
	var errs field.ErrorList
	check := func(path *field.Path, annotation string, now, before map[string]string, parse func(string) error) {
		value, given := now[annotation]
		if was, had := before[annotation]; !given || had && was == value {
			return
		}
		err := parse(value)
		if err == nil {
			return
		}
		if inner := errors.Unwrap(err); inner != nil { // without the annotation's name, which the path says
			err = inner
		}
		errs = append(errs, field.Invalid(path.Child("annotations").Key(annotation), value, err.Error()))
	}
	if old == nil {
		old = &appsv1.StatefulSet{}
	}
	retention := func(text string) error { _, err := address.ParseRetention(text); return err }
	given := func(text string) error { _, err := address.ParseGiven(text); return err }
	own, template := field.NewPath("metadata"), field.NewPath("spec", "template", "metadata")
	check(own, address.RetentionAnnotation, set.Annotations, old.Annotations, retention)
	check(own, address.AddressesAnnotation, set.Annotations, old.Annotations, given)
	check(template, address.AddressesAnnotation, set.Spec.Template.Annotations, old.Spec.Template.Annotations, given)
	return errs
}
