// Package warning finds what an API object may hold but better would not:
// deprecated fields, and values that are not what they seem. The texts become
// Warning headers of the answer.
package warning

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// StatefulSet warns about a set, its template and its claim templates.
func StatefulSet(set *appsv1.StatefulSet) []string {
	var w list
	spec := field.NewPath("spec")
	w.pod(spec.Child("template"), &set.Spec.Template.ObjectMeta, &set.Spec.Template.Spec)
	for i := range set.Spec.VolumeClaimTemplates {
		w.claim(spec.Child("volumeClaimTemplates").Index(i).Child("spec"), &set.Spec.VolumeClaimTemplates[i].Spec)
	}
	if grace := set.Spec.Template.Spec.TerminationGracePeriodSeconds; grace != nil && *grace == 0 {
		w.say("spec.template.spec.terminationGracePeriodSeconds: 0 lets a Pod's name go before its containers have stopped, so that two of one name may run at once and damage their data; a value > 0 is recommended")
	}
	if n := set.Spec.RevisionHistoryLimit; n != nil && *n < 0 {
		w.say("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return w
}

func sortedKeys(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
