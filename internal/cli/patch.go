package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	fieldManager = "kubectl-client-side-apply"
	lastApplied  = "kubectl.kubernetes.io/last-applied-configuration"
	strategic    = types.StrategicMergePatchType
)

// threeWay is the patch that kubectl apply would send: what the file has, and
// without what the last file had and this one has not.
func threeWay(file, live *unstructured.Unstructured) ([]byte, types.PatchType, error) {
	original := []byte(live.GetAnnotations()[lastApplied])
	wanted := file.DeepCopy()
	unstructured.RemoveNestedField(wanted.Object, "metadata", "creationTimestamp")
	modified, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, "", err
	}
	current, err := json.Marshal(live.Object)
	if err != nil {
		return nil, "", err
	}
	typed, err := scheme.Scheme.New(file.GroupVersionKind())
	if err != nil { // a custom resource
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(original, modified, current)
		return patch, types.MergePatchType, err
	}
	fields, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return nil, "", err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(original, modified, current, fields, true)
	return patch, types.StrategicMergePatchType, err
}

// editPatch is the patch that the flags ask for.
func editPatch(live *unstructured.Unstructured, o planOptions) (map[string]any, error) {
	spec := map[string]any{}
	if o.given("replicas") {
		spec["replicas"] = o.replicas
	}
	if o.given("set-partition") {
		spec["updateStrategy"] = map[string]any{"rollingUpdate": map[string]any{"partition": o.partition}}
	}
	template := map[string]any{}
	for _, pair := range o.images {
		name, image, ok := strings.Cut(pair, "=")
		if !ok || name == "" || image == "" {
			return nil, fmt.Errorf("--set-image %q: write CONTAINER=IMAGE", pair)
		}
		list, err := containerList(live, name)
		if err != nil {
			return nil, err
		}
		containers, _ := template[list].([]any)
		template[list] = append(containers, map[string]any{"name": name, "image": image})
	}
	if len(template) > 0 {
		spec["template"] = map[string]any{"spec": template}
	}
	return map[string]any{"spec": spec}, nil
}

// containerList is which of the template's lists has a container.
func containerList(live *unstructured.Unstructured, name string) (string, error) {
	var known []string
	for _, list := range []string{"containers", "initContainers"} {
		containers, _, err := unstructured.NestedSlice(live.Object, "spec", "template", "spec", list)
		if err != nil {
			return "", err
		}
		for _, c := range containers {
			fields, _ := c.(map[string]any)
			if fields["name"] == name {
				return list, nil
			}
			known = append(known, fmt.Sprint(fields["name"]))
		}
	}
	return "", fmt.Errorf("--set-image: StatefulSet %s has no container %q, but %s", live.GetName(), name, strings.Join(known, ", "))
}
