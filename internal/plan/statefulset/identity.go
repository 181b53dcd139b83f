package statefulset

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// PodName is the name of the set's pod at this ordinal.
func PodName(set string, ordinal int) string { return set + "-" + strconv.Itoa(ordinal) }

// ClaimName is the name of the claim that this template gives this ordinal.
func ClaimName(template, set string, ordinal int) string {
	return template + "-" + PodName(set, ordinal)
}

// ParseName splits a pod's name into its set's name and its ordinal. ok is false
// for a name that no set would give.
func ParseName(pod string) (set string, ordinal int, ok bool) {
	i := strings.LastIndexByte(pod, '-')
	if i < 0 || i == len(pod)-1 {
		return "", 0, false
	}
	digits := pod[i+1:]
	if strings.Trim(digits, "0123456789") != "" {
		return "", 0, false
	}
	ordinal, err := strconv.Atoi(digits)
	if err != nil || ordinal > maxOrdinal {
		return "", 0, false
	}
	return pod[:i], ordinal, true
}

// Upstream names a pod's revision in full on its label, which ends at sets of 52
// characters: a label holds 63. Pods of longer names carry the hash alone.
const longestWholeRevision = 52

// RevisionLabel is what the pods of a set carry as the label of their revision.
func RevisionLabel(set, revision string) string {
	if len(set) <= longestWholeRevision {
		return revision
	}
	return strings.TrimPrefix(revision, set+"-")
}

// RevisionOf is the name of the revision that a pod of the set is of.
func RevisionOf(set string, pod *corev1.Pod) string {
	label := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	if len(set) <= longestWholeRevision || label == "" || strings.HasPrefix(label, set+"-") {
		return label
	}
	return set + "-" + label
}

// maxOrdinal is upstream's: ordinals are 32-bit.
const maxOrdinal = 1<<31 - 1

// Member reports whether the name is one that the set gives to its pods.
func Member(set *appsv1.StatefulSet, pod string) bool {
	name, _, ok := ParseName(pod)
	return ok && name == set.Name
}

// IdentityOK reports whether a pod carries its own name; upstream looks at no
// other label, and writes the ordinal anew only with the name.
func IdentityOK(pod *corev1.Pod) bool {
	return pod.Labels[appsv1.StatefulSetPodNameLabel] == pod.Name
}

// wrongStorage reports whether a claim template is not mounted from the
// ordinal's own claim, and whether that is so only because its volume is not there.
func wrongStorage(set *appsv1.StatefulSet, ordinal int, pod *corev1.Pod) (wrong, older bool) {
	for i := range set.Spec.VolumeClaimTemplates {
		template := set.Spec.VolumeClaimTemplates[i].Name
		switch claim, found := mounted(pod, template); {
		case !found:
			wrong, older = true, true
		case claim != ClaimName(template, set.Name, ordinal):
			return true, false
		}
	}
	return wrong, older
}

// mounted is the claim that a volume of the pod is of.
func mounted(pod *corev1.Pod, volume string) (claim string, found bool) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Name == volume {
			if v.PersistentVolumeClaim != nil {
				claim = v.PersistentVolumeClaim.ClaimName
			}
			return claim, true
		}
	}
	return "", false
}
