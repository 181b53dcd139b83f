package apps

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/plan/statefulset/inplace"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// checkStatefulSet checks a new set, and what its annotations ask Berth for.
func checkStatefulSet(set *appsv1.StatefulSet) field.ErrorList {
	return slices.Concat(validation.StatefulSet(set), optionErrors(set.Annotations, nil), recreateErrors(set, nil), templateErrors(set, nil), addressErrors(set, nil))
}

// checkStatefulSetUpdate leaves alone an annotation that nobody changes: it may
// be older than its meaning.
func checkStatefulSetUpdate(set, old *appsv1.StatefulSet) field.ErrorList {
	return slices.Concat(validation.StatefulSetUpdate(set, old), optionErrors(set.Annotations, old.Annotations), recreateErrors(set, old), templateErrors(set, old), addressErrors(set, old), inPlaceErrors(set, old))
}

// templateErrors refuses a template whose pods would be replaced for ever.
func templateErrors(set, old *appsv1.StatefulSet) field.ErrorList {
	value, given := set.Spec.Template.Labels[options.ReplaceLabel]
	if !given || old != nil && old.Spec.Template.Labels[options.ReplaceLabel] == value {
		return nil
	}
	path := field.NewPath("spec", "template", "metadata", "labels").Key(options.ReplaceLabel)
	return field.ErrorList{field.Invalid(path, value, "is a label for a single pod: every new pod would ask to be replaced")}
}

// recreateErrors refuses what a set that is replaced as a whole cannot keep.
func recreateErrors(set, old *appsv1.StatefulSet) field.ErrorList {
	if set.Spec.UpdateStrategy.Type != appsv1.RecreateStatefulSetStrategyType {
		return nil
	}
	var errs field.ErrorList
	asked, _ := options.Parse(set.Annotations)
	for _, c := range []struct {
		annotation string
		given      bool
	}{{options.RespectPDB, asked.RespectPDB}, {options.InPlaceUpdate, asked.InPlace != ""}} {
		value := set.Annotations[c.annotation]
		before := old != nil && old.Spec.UpdateStrategy.Type == set.Spec.UpdateStrategy.Type && old.Annotations[c.annotation] == value
		if c.given && !before {
			errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations").Key(c.annotation), value,
				"cannot be kept with updateStrategy Recreate, which deletes every pod before it makes one"))
		}
	}
	return errs
}

// inPlaceErrors refuses a template that a set which changes only in place could
// never bring its pods to.
func inPlaceErrors(set, old *appsv1.StatefulSet) field.ErrorList {
	asked, _ := options.Parse(set.Annotations)
	if asked.InPlace != options.Only {
		return nil
	}
	found := inplace.Check(&old.Spec.Template, &set.Spec.Template)
	if found == nil {
		return nil
	}
	path := field.NewPath("spec", "template").Child(found.Path)
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf("%s (annotation %s: %s)", found.Why, options.InPlaceUpdate, options.Only))}
}

func optionErrors(annotations, old map[string]string) field.ErrorList {
	var errs field.ErrorList
	_, problems := options.Parse(annotations)
	for _, p := range problems {
		if was, had := old[p.Annotation]; had && was == p.Value {
			continue
		}
		errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations").Key(p.Annotation), p.Value, p.Message))
	}
	return errs
}
