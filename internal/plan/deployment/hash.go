package deployment

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
)

// HashLabel tells the pods of one template from those of another.
const HashLabel = appsv1.DefaultDeploymentUniqueLabelKey

// setName is the name of the ReplicaSet of a template with this hash.
func setName(deployment, hash string) string {
	return deployment[:min(len(deployment), validation.DNS1123SubdomainMaxLength-1-len(hash))] + "-" + hash
}

// SameTemplate compares two templates but for the label that the hash is on.
func SameTemplate(a, b *corev1.PodTemplateSpec) bool {
	left, right := *a, *b
	left.Labels, right.Labels = withoutHash(a.Labels), withoutHash(b.Labels)
	return equality.Semantic.DeepEqual(left, right)
}

func withoutHash(labels map[string]string) map[string]string {
	if _, has := labels[HashLabel]; !has {
		return labels
	}
	rest := maps.Clone(labels)
	delete(rest, HashLabel)
	return rest
}
