package podspec

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// valueOf resolves one entry of a container's env; skip means that an optional
// source is not there and the variable stays unset.
func valueOf(pod *corev1.Pod, c *corev1.Container, e *corev1.EnvVar, from Sources, lookup func(string) (string, bool)) (value string, skip bool, err error) {
	if e.ValueFrom == nil {
		return Expand(e.Value, lookup), false, nil
	}
	switch src := e.ValueFrom; {
	case src.FieldRef != nil:
		value, err = Field(pod, src.FieldRef.FieldPath, from)
	case src.ResourceFieldRef != nil:
		value, err = ResourceField(pod, c, src.ResourceFieldRef, from.Allocatable)
	case src.ConfigMapKeyRef != nil:
		ref := src.ConfigMapKeyRef
		m, err := from.ConfigMap(ref.Name)
		if err != nil {
			return "", false, err
		}
		if m == nil {
			if optional(ref.Optional) {
				return "", true, nil
			}
			return "", false, fmt.Errorf("configmap %q not found", ref.Name)
		}
		value, ok := m.Data[ref.Key]
		if !ok && !optional(ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, pod.Namespace, ref.Name)
		}
		return value, !ok, nil
	case src.SecretKeyRef != nil:
		ref := src.SecretKeyRef
		s, err := from.Secret(ref.Name)
		if err != nil {
			return "", false, err
		}
		if s == nil {
			if optional(ref.Optional) {
				return "", true, nil
			}
			return "", false, fmt.Errorf("secret %q not found", ref.Name)
		}
		value, ok := s.Data[ref.Key]
		if !ok && !optional(ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, pod.Namespace, ref.Name)
		}
		return string(value), !ok, nil
	case src.FileKeyRef != nil:
		return fileValue(src.FileKeyRef, from)
	default:
		err = fmt.Errorf("environment variable %s has a source that is not supported", e.Name)
	}
	return value, false, err
}

// fileValue reads a variable from a file that another container has written.
func fileValue(ref *corev1.FileKeySelector, from Sources) (value string, skip bool, err error) {
	text, missing, err := from.File(ref.VolumeName, ref.Path)
	if missing && optional(ref.Optional) {
		return "", true, nil
	}
	if err != nil {
		return "", false, err
	}
	value, _, err = FileVariable(text, ref.Key)
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file: %w", err)
	}
	if value == "" && !optional(ref.Optional) {
		return "", false, fmt.Errorf("environment variable key %q not found in file", ref.Key)
	}
	return value, value == "", nil
}

// Field is the text of a downward API field.
func Field(pod *corev1.Pod, path string, from Sources) (string, error) {
	if base, key, ok := strings.Cut(path, "['"); ok && strings.HasSuffix(key, "']") {
		key = strings.TrimSuffix(key, "']")
		switch base {
		case "metadata.annotations":
			return pod.Annotations[key], nil
		case "metadata.labels":
			return pod.Labels[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return formatMap(pod.Labels), nil
	case "metadata.annotations":
		return formatMap(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(from.HostIPs), nil
	case "status.hostIPs":
		return strings.Join(from.HostIPs, ","), nil
	case "status.podIP":
		return first(from.PodIPs), nil
	case "status.podIPs":
		return strings.Join(from.PodIPs, ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func formatMap(m map[string]string) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var lines []string
	for _, k := range keys {
		lines = append(lines, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(lines, "\n")
}

// ResourceField is the text of a container's request or limit in units of the
// divisor, rounded up. A limit that is not set is the node's.
func ResourceField(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		if c = containerNamed(pod, ref.ContainerName); c == nil {
			return "", fmt.Errorf("container %s not found", ref.ContainerName)
		}
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Limits
	switch kind {
	case "limits":
	case "requests":
		list = c.Resources.Requests
	default:
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok && kind == "limits" {
		q = allocatable[corev1.ResourceName(name)]
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if name == string(corev1.ResourceCPU) {
		return strconv.FormatInt(int64(math.Ceil(float64(q.MilliValue())/float64(divisor.MilliValue()))), 10), nil
	}
	return strconv.FormatInt(int64(math.Ceil(float64(q.Value())/float64(divisor.Value()))), 10), nil
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i]
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i]
		}
	}
	return nil
}
