package columns

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// StatefulSet is the header of stateful sets.
var StatefulSet = definitions{
	name(),
	column("Ready", "string", "Number of the pod with ready state"),
	ageColumn(),
	wide("Containers", "Names of each container in the template."),
	wide("Images", "Images referenced by each container in the template."),
}

// StatefulSetRow prints a stateful set.
func StatefulSetRow(s *appsv1.StatefulSet) []any {
	wanted := int32(1)
	if s.Spec.Replicas != nil {
		wanted = *s.Spec.Replicas
	}
	names, images := containers(s.Spec.Template.Spec.Containers)
	return []any{s.Name, fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, wanted), age(s.CreationTimestamp), names, images}
}

// ControllerRevision is the header of controller revisions.
var ControllerRevision = definitions{
	name(),
	column("Controller", "string", "Controller of the object"),
	column("Revision", "string", appsv1.ControllerRevision{}.SwaggerDoc()["revision"]),
	ageColumn(),
}

// ControllerRevisionRow prints a controller revision.
func ControllerRevisionRow(r *appsv1.ControllerRevision) []any {
	owner := none
	if c := metav1.GetControllerOf(r); c != nil {
		kind := c.Kind
		if gv, err := schema.ParseGroupVersion(c.APIVersion); err == nil && gv.Group != "" {
			kind += "." + gv.Group
		}
		owner = strings.ToLower(kind) + "/" + c.Name
	}
	return []any{r.Name, owner, r.Revision, age(r.CreationTimestamp)}
}
