// Package warning finds what an API object may hold but better would not:
// deprecated fields, and values that are not what they seem. The texts become
// Warning headers of the answer.
package warning

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// StatefulSet warns about a set, its template and its claim templates.
func StatefulSet(set *appsv1.StatefulSet) []string {
	var w list
	spec := field.NewPath("spec")
	w.pod(spec.Child("template"), &set.Spec.Template.ObjectMeta, &set.Spec.Template.Spec)
	for i := range set.Spec.VolumeClaimTemplates {
		w.claim(spec.Child("volumeClaimTemplates").Index(i), &set.Spec.VolumeClaimTemplates[i].Spec)
	}
	if n := set.Spec.RevisionHistoryLimit; n != nil && *n < 0 {
		w.say("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return w
}

// PersistentVolumeClaim warns about a claim.
func PersistentVolumeClaim(c *corev1.PersistentVolumeClaim) []string {
	var w list
	w.betaClass(c.Annotations, "storageClassName")
	w.claim(nil, &c.Spec)
	return w
}

func (w *list) claim(p *field.Path, s *corev1.PersistentVolumeClaimSpec) {
	w.fractions(p.Child("spec", "resources", "requests"), s.Resources.Requests)
}

func (w *list) betaClass(annotations map[string]string, instead string) {
	if _, ok := annotations[corev1.BetaStorageClassAnnotation]; ok {
		w.say("%s: deprecated since v1.8; use %q attribute instead",
			field.NewPath("metadata", "annotations").Key(corev1.BetaStorageClassAnnotation), instead)
	}
}

// PersistentVolume warns about a volume.
func PersistentVolume(v *corev1.PersistentVolume) []string {
	var w list
	w.betaClass(v.Annotations, "storageClassName")
	if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		w.say("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	}
	w.fractions(field.NewPath("spec", "capacity"), v.Spec.Capacity)
	return w
}

// Service warns about a service.
func Service(s *corev1.Service) []string {
	var w list
	if s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ExternalName != "" {
		w.say(`spec.externalName is ignored when spec.type is not "ExternalName"`)
	}
	if s.Spec.ClusterIP == corev1.ClusterIPNone && s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		w.say("spec.SessionAffinity is ignored for headless services")
	}
	return w
}

// Endpoints warns about the use of endpoints.
func Endpoints(*corev1.Endpoints) []string {
	return []string{"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
}

// Node warns about a node.
func Node(n *corev1.Node) []string {
	var w list
	if n.Spec.ConfigSource != nil {
		w.say("spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		w.say("spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	return w
}

func sortedKeys(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
