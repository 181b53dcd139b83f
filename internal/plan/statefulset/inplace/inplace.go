// Package inplace says whether a running pod can be brought from one template to
// another without being made anew, brings it there, and judges when it has
// arrived. What can be: images of containers, labels and annotations, cpu and
// memory of containers.
package inplace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/plan/podspec"
)

// restartedAt is what kubectl rollout restart sets: it asks for new pods.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// mutable are the fields that may differ. A resource may change, not come or go.
var mutable = regexp.MustCompile(`^spec\.containers\[\d+\]\.(image|resources\.(requests|limits)\.(cpu|memory))$`)

// Obstacle is a difference that takes a new pod.
type Obstacle struct {
	// Path is the field, below the template; Why what stands in the way.
	Path, Why string
}

func (o *Obstacle) Error() string { return fmt.Sprintf("%s %s", o.Path, o.Why) }

// Check returns the first difference between two templates that takes a new pod,
// or nil.
func Check(from, to *corev1.PodTemplateSpec) *Obstacle {
	before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from)
	if err != nil {
		return &Obstacle{Path: "template", Why: err.Error()}
	}
	after, err := runtime.DefaultUnstructuredConverter.ToUnstructured(to)
	if err != nil {
		return &Obstacle{Path: "template", Why: err.Error()}
	}
	var found *Obstacle
	compare("", before, after, func(path string, exists bool) {
		if found != nil {
			return
		}
		name, isMeta := metaName(path)
		switch {
		case isMeta && name == restartedAt:
			found = &Obstacle{path, "asks for new pods"}
		case isMeta && readByEnv(to, path, name):
			found = &Obstacle{path, "is read into the environment of a container, which takes a new pod"}
		case isMeta, exists && mutable.MatchString(path), !exists && strings.HasSuffix(path, ".image"):
		default:
			found = &Obstacle{path, "cannot change in place"}
		}
	})
	if found == nil && class(from) != class(to) {
		found = &Obstacle{"spec.containers", "would get another quality of service class"}
	}
	return found
}

func class(t *corev1.PodTemplateSpec) corev1.PodQOSClass {
	return podspec.QOS(&corev1.Pod{Spec: t.Spec})
}

// compare tells the leaf paths in which two values differ, in a fixed order;
// exists is false where one of them has no such field.
func compare(path string, a, b any, differs func(path string, exists bool)) {
	switch left := a.(type) {
	case map[string]any:
		right, ok := b.(map[string]any)
		if !ok {
			differs(path, true)
			return
		}
		for _, key := range keys(left, right) {
			l, inLeft := left[key]
			r, inRight := right[key]
			below := strings.TrimPrefix(path+"."+key, ".")
			if isMetaMap(path) {
				below = path + "[" + key + "]"
			}
			switch {
			case inLeft && inRight:
				compare(below, l, r, differs)
			case isMetaMap(below): // a map that comes or goes: each of its entries does
				for _, entry := range keys(entries(l), entries(r)) {
					differs(below+"["+entry+"]", false)
				}
			default:
				differs(below, false)
			}
		}
	case []any:
		right, ok := b.([]any)
		if !ok || len(left) != len(right) {
			differs(path, true)
			return
		}
		for i := range left {
			compare(fmt.Sprintf("%s[%d]", path, i), left[i], right[i], differs)
		}
	default:
		if a != b { // strings, numbers, booleans
			differs(path, true)
		}
	}
}

func isMetaMap(path string) bool { return path == "metadata.labels" || path == "metadata.annotations" }

func entries(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// metaName is the label or annotation that a path means.
func metaName(path string) (string, bool) {
	at := strings.IndexByte(path, '[')
	if at < 0 || !isMetaMap(path[:at]) {
		return "", false
	}
	return strings.TrimSuffix(path[at+1:], "]"), true
}

func keys(a, b map[string]any) []string {
	var all []string
	for key := range a {
		all = append(all, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// readByEnv reports whether a container's environment shows the label or
// annotation: a running container would not see it change.
func readByEnv(t *corev1.PodTemplateSpec, path, name string) bool {
	field := path[:strings.IndexByte(path, '[')] + "['" + name + "']"
	for _, list := range [][]corev1.Container{t.Spec.InitContainers, t.Spec.Containers} {
		for i := range list {
			if slices.ContainsFunc(list[i].Env, func(e corev1.EnvVar) bool {
				return e.ValueFrom != nil && e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == field
			}) {
				return true
			}
		}
	}
	return false
}
