package deployment

import (
	"maps"
	"slices"

	"berth.dev/berth/internal/plan/revision"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// NewSet renders the ReplicaSet of the Deployment's template.
func NewSet(f Facts, owner metav1.OwnerReference, replicas int) *appsv1.ReplicaSet {
	d := f.Deployment
	hash := revision.TemplateHash(&d.Spec.Template, d.Status.CollisionCount)
	template := *d.Spec.Template.DeepCopy()
	template.Labels = withHash(template.Labels, hash)
	selector := d.Spec.Selector.DeepCopy()
	selector.MatchLabels = withHash(selector.MatchLabels, hash)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            setName(d.Name, hash),
			Namespace:       d.Namespace,
			OwnerReferences: []metav1.OwnerReference{owner},
			Labels:          maps.Clone(template.Labels),
			Annotations:     Observe(f).sizes(f.annotations(nil)),
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(int32(replicas)), MinReadySeconds: d.Spec.MinReadySeconds,
			Selector: selector, Template: template,
		},
	}
}

func withHash(labels map[string]string, hash string) map[string]string {
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	all[HashLabel] = hash
	return all
}

// stale reports whether the new set lacks something of the Deployment.
func (f Facts) stale(rs *appsv1.ReplicaSet) bool {
	return rs.Spec.MinReadySeconds != f.Deployment.Spec.MinReadySeconds || !maps.Equal(rs.Annotations, f.annotations(rs.Annotations))
}

// Refreshed is the new set with what it lacked.
func Refreshed(f Facts, rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	next := rs.DeepCopy()
	next.Annotations = f.annotations(rs.Annotations)
	next.Spec.MinReadySeconds = f.Deployment.Spec.MinReadySeconds
	return next
}

// Scaled is a set with another size.
func Scaled(f Facts, rs *appsv1.ReplicaSet, replicas int) *appsv1.ReplicaSet {
	next := rs.DeepCopy()
	next.Spec.Replicas = ptr.To(int32(replicas))
	next.Annotations = Observe(f).sizes(rs.Annotations)
	return next
}

// Named is the set of that name, nil when there is none.
func (f Facts) Named(name string) *appsv1.ReplicaSet {
	i := slices.IndexFunc(f.Sets, func(rs *appsv1.ReplicaSet) bool { return rs.Name == name })
	if i < 0 {
		return nil
	}
	return f.Sets[i]
}

// With are the facts after a write of a set.
func (f Facts) With(rs *appsv1.ReplicaSet) Facts {
	f.Sets = slices.DeleteFunc(slices.Clone(f.Sets), func(s *appsv1.ReplicaSet) bool { return s.Name == rs.Name })
	f.Sets = append(f.Sets, rs)
	return f
}

// Revision is the Deployment's revision: that of the new set, "" without one.
func (f Facts) Revision() string {
	if rs := f.newSet(); rs != nil {
		return rs.Annotations[RevisionAnnotation]
	}
	return ""
}
