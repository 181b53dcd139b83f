package statefulset

import (
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NewPod renders the pod of an ordinal from a revision's template.
func NewPod(set *appsv1.StatefulSet, template *corev1.PodTemplateSpec, revision string, ordinal int) *corev1.Pod {
	name := PodName(set.Name, ordinal)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			GenerateName:    set.Name + "-",
			Namespace:       set.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			OwnerReferences: []metav1.OwnerReference{SetRef(set)},
		},
		Spec: *template.Spec.DeepCopy(),
	}
	SetIdentity(pod, ordinal)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = RevisionLabel(set.Name, revision)
	pod.Spec.Hostname = name
	pod.Spec.Subdomain = set.Spec.ServiceName
	pod.Spec.Volumes = volumes(set, pod.Spec.Volumes, ordinal)
	return pod
}

// SetIdentity gives a pod the labels of its ordinal.
func SetIdentity(pod *corev1.Pod, ordinal int) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
}

// SetStorage mounts the ordinal's claims.
func SetStorage(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int) {
	pod.Spec.Volumes = volumes(set, pod.Spec.Volumes, ordinal)
}

// volumes puts the claims first; a claim template wins over a volume of its name.
func volumes(set *appsv1.StatefulSet, own []corev1.Volume, ordinal int) []corev1.Volume {
	if len(set.Spec.VolumeClaimTemplates) == 0 {
		return own
	}
	claimed := map[string]bool{}
	all := make([]corev1.Volume, 0, len(own)+len(set.Spec.VolumeClaimTemplates))
	for i := range set.Spec.VolumeClaimTemplates {
		template := set.Spec.VolumeClaimTemplates[i].Name
		claimed[template] = true
		all = append(all, corev1.Volume{
			Name: template,
			VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
				ClaimName: ClaimName(template, set.Name, ordinal),
			}},
		})
	}
	for i := range own {
		if !claimed[own[i].Name] {
			all = append(all, own[i])
		}
	}
	return all
}

// NewClaim renders the claim that a template gives an ordinal, with its owner.
func NewClaim(set *appsv1.StatefulSet, template, ordinal int, owner Owner) *corev1.PersistentVolumeClaim {
	claim := set.Spec.VolumeClaimTemplates[template].DeepCopy()
	claim.Name = ClaimName(claim.Name, set.Name, ordinal)
	claim.Namespace = set.Namespace
	claim.Status = corev1.PersistentVolumeClaimStatus{}
	if claim.Labels == nil {
		claim.Labels = map[string]string{}
	}
	if set.Spec.Selector != nil {
		maps.Copy(claim.Labels, set.Spec.Selector.MatchLabels)
	}
	if owner == BySet {
		claim.OwnerReferences = append(claim.OwnerReferences, SetRef(set))
	}
	return claim
}
