package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var claimTemplatesPath = specPath.Child("volumeClaimTemplates")

func (f *findings) claimTemplate(i int, t *corev1.PersistentVolumeClaim) {
	f.claimSpec(claimTemplatesPath.Index(i).Child("spec"), &t.Spec)
}

// claimTemplates checks a change of a set's claim templates. Upstream allows
// none. Here a template may be added, and ask for more storage; what exists
// keeps its name, its order and all else.
func (f *findings) claimTemplates(now, old []corev1.PersistentVolumeClaim) {
	if equality.Semantic.DeepEqual(now, old) {
		return
	}
	was := map[string]*corev1.PersistentVolumeClaim{}
	for i := range old {
		was[old[i].Name] = &old[i]
	}
	kept := 0
	for i := range now {
		t := &now[i]
		before, existed := was[t.Name]
		if !existed {
			f.claimTemplate(i, t)
			was[t.Name] = t // a second one of the name is a change of the first
			continue
		}
		if kept < len(old) && old[kept].Name == t.Name {
			kept++
		}
		if !sameButStorage(t, before) {
			f.add(field.Invalid(claimTemplatesPath, now, fieldIsImmutable).WithOrigin("immutable"))
			return
		}
		if size := t.Spec.Resources.Requests.Storage(); size.Cmp(*before.Spec.Resources.Requests.Storage()) < 0 {
			f.forbidden(claimTemplatesPath.Index(i).Child("spec", "resources", "requests", "storage"),
				"field can not be less than before, claims do not shrink: "+before.Spec.Resources.Requests.Storage().String())
		}
	}
	if kept < len(old) {
		f.add(field.Invalid(claimTemplatesPath, now, fieldIsImmutable).WithOrigin("immutable"))
	}
}

func sameButStorage(a, b *corev1.PersistentVolumeClaim) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Spec.Resources.Requests, corev1.ResourceStorage)
	delete(b.Spec.Resources.Requests, corev1.ResourceStorage)
	return equality.Semantic.DeepEqual(a, b)
}
