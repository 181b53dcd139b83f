package deployment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
)

// RolledBack is the Deployment after the annotation of older versions was
// followed and taken off, and the event that tells of it. kubectl rollout undo
// writes the template itself instead.
func RolledBack(f Facts) (next *appsv1.Deployment, warning bool, reason, message string) {
	next = f.Deployment.DeepCopy()
	to, err := strconv.ParseInt(next.Annotations[appsv1.DeprecatedRollbackTo], 10, 64)
	delete(next.Annotations, appsv1.DeprecatedRollbackTo)
	if err != nil {
		return next, true, "DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to."
	}
	if to == 0 {
		if to = f.lastRevision(); to == 0 {
			return next, true, "DeploymentRollbackRevisionNotFound", "Unable to find last revision."
		}
	}
	i := slices.IndexFunc(f.Sets, func(rs *appsv1.ReplicaSet) bool { return revisionOf(rs) == to })
	if i < 0 {
		return next, true, "DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to."
	}
	rs := f.Sets[i]
	if SameTemplate(&next.Spec.Template, &rs.Spec.Template) {
		return next, true, "DeploymentRollbackTemplateUnchanged",
			fmt.Sprintf("The rollback revision contains the same template as current deployment %q", next.Name)
	}
	rs.Spec.Template.DeepCopyInto(&next.Spec.Template)
	next.Spec.Template.Labels = withoutHash(next.Spec.Template.Labels)
	maps.DeleteFunc(next.Annotations, func(name, _ string) bool { return !own(name) })
	for name, value := range rs.Annotations {
		if !own(name) {
			if next.Annotations == nil {
				next.Annotations = map[string]string{}
			}
			next.Annotations[name] = value
		}
	}
	return next, false, "DeploymentRollback", fmt.Sprintf("Rolled back deployment %q to revision %d", next.Name, to)
}

// lastRevision is the revision before the highest, 0 when there is none.
func (f Facts) lastRevision() int64 {
	highest, last := int64(0), int64(0)
	for _, rs := range f.Sets {
		switch n := revisionOf(rs); {
		case n >= highest:
			highest, last = n, highest
		case n > last:
			last = n
		}
	}
	return last
}
