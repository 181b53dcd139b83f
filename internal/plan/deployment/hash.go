package deployment

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/dump"

	"berth.dev/berth/internal/plan/revision"
)

// HashLabel tells the pods of one template from those of another.
const HashLabel = appsv1.DefaultDeploymentUniqueLabelKey

// Hash is upstream's hash of a template as Go prints it, made different for
// another template of the same hash by the number of collisions met.
func Hash(template *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(*template))
	if collisions != nil {
		var count [8]byte
		binary.LittleEndian.PutUint32(count[:], uint32(*collisions))
		h.Write(count[:])
	}
	return revision.Safe(strconv.FormatUint(uint64(h.Sum32()), 10))
}

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
