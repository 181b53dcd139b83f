package volume

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// addDownward adds facts about the pod itself.
func (v *Volumes) addDownward(files map[string]file, pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode os.FileMode) error {
	for _, item := range items {
		m := mode
		if item.Mode != nil {
			m = fileMode(*item.Mode)
		}
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = podField(pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			text, err = containerResource(pod, item.ResourceFieldRef, v.cfg.Node())
		default:
			err = fmt.Errorf("downwardAPI item %q names no field", item.Path)
		}
		if err != nil {
			return err
		}
		files[filepath.Clean(item.Path)] = file{data: []byte(text), mode: m}
	}
	return nil
}

// podField is the text of a field that a volume may show.
func podField(pod *corev1.Pod, path string) (string, error) {
	if key, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[key], nil
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[key], nil
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return lines(pod.Labels), nil
	case "metadata.annotations":
		return lines(pod.Annotations), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

// subscript takes the key out of path['key'].
func subscript(path, field string) (string, bool) {
	rest, ok := strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

// lines writes a map as key="value" lines in the order of the keys.
func lines(m map[string]string) string {
	var b strings.Builder
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%v=%q", key, m[key])
	}
	return b.String()
}

// containerResource is a container's request or limit in units of the divisor,
// rounded up. What a limit does not say is what the node can give.
func containerResource(pod *corev1.Pod, src *corev1.ResourceFieldSelector, node *corev1.Node) (string, error) {
	resources, err := resourcesOf(pod, src.ContainerName)
	if err != nil {
		return "", err
	}
	kind, name, ok := strings.Cut(src.Resource, ".")
	list := resources.Requests
	switch kind {
	case "limits":
		list = resources.Limits
	case "requests":
	default:
		ok = false
	}
	resourceName := corev1.ResourceName(name)
	known := slices.Contains([]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}, resourceName)
	if !ok || (!known && !strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)) {
		return "", fmt.Errorf("unsupported container resource : %v", src.Resource)
	}
	quantity := list[resourceName]
	if kind == "limits" && quantity.IsZero() && node != nil {
		quantity = node.Status.Allocatable[resourceName]
	}
	return inUnits(quantity, src.Divisor, resourceName == corev1.ResourceCPU), nil
}

func resourcesOf(pod *corev1.Pod, name string) (corev1.ResourceRequirements, error) {
	for _, c := range pod.Spec.Containers {
		if c.Name == name {
			return c.Resources, nil
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.Name == name {
			return c.Resources, nil
		}
	}
	return corev1.ResourceRequirements{}, fmt.Errorf("container %s not found", name)
}

func inUnits(q, divisor resource.Quantity, milli bool) string {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, unit := q.Value(), divisor.Value()
	if milli {
		value, unit = q.MilliValue(), divisor.MilliValue()
	}
	count := value / unit
	if value%unit > 0 {
		count++
	}
	return strconv.FormatInt(count, 10)
}
