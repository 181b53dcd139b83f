package podspec

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// HugePages is how much memory in pages of one size somebody may have.
type HugePages struct {
	// Size is how cgroups call it: "2MB", "1GB".
	Size  string
	Bytes int64
}

// PodHugePages are the limits of the cgroup around a pod, one for each size
// that the node has: none was asked for is none.
func PodHugePages(pod *corev1.Pod, sizes []int64) []HugePages {
	_, limits := sum(pod)
	return hugePages(limits, sizes)
}

// ContainerHugePages are those of one container.
func ContainerHugePages(c *corev1.Container, sizes []int64) []HugePages {
	return hugePages(c.Resources.Limits, sizes)
}

func hugePages(limits corev1.ResourceList, sizes []int64) []HugePages {
	asked := map[int64]int64{}
	for name, q := range limits {
		if text, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix); ok {
			if size, err := resource.ParseQuantity(text); err == nil {
				asked[size.Value()] = q.Value()
			}
		}
	}
	var out []HugePages
	for _, size := range sizes {
		out = append(out, HugePages{pageSize(size), asked[size]})
	}
	return out
}

// pageSize is the kernel's name of a size.
func pageSize(bytes int64) string {
	unit := 0
	for units := "KMGTP"; bytes >= 1024 && bytes%1024 == 0 && unit < len(units); unit++ {
		bytes /= 1024
	}
	return strconv.FormatInt(bytes, 10) + []string{"B", "KB", "MB", "GB", "TB", "PB"}[unit]
}
