package revision

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/dump"
)

// TemplateHash is upstream's hash of a template as Go prints it, made different
// for another template of the same hash by the number of collisions met.
// Deployments and DaemonSets name what they make of a template by it.
func TemplateHash(template *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(*template))
	if collisions != nil {
		var count [8]byte
		binary.LittleEndian.PutUint32(count[:], uint32(*collisions))
		h.Write(count[:])
	}
	return Safe(strconv.FormatUint(uint64(h.Sum32()), 10))
}
