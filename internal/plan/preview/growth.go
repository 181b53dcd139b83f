package preview

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/volume"
)

func labelSet(l map[string]string) labels.Set { return labels.Set(l) }

// grown is a claim template that asks for more than before.
type grown struct {
	name, class string
	from, to    resource.Quantity
	allowed     bool
}

func (f SetFacts) growth() []grown {
	if f.Before == nil {
		return nil
	}
	var all []grown
	for i := range f.After.Spec.VolumeClaimTemplates {
		after := &f.After.Spec.VolumeClaimTemplates[i]
		for j := range f.Before.Spec.VolumeClaimTemplates {
			before := &f.Before.Spec.VolumeClaimTemplates[j]
			from, to := before.Spec.Resources.Requests[corev1.ResourceStorage], after.Spec.Resources.Requests[corev1.ResourceStorage]
			if before.Name != after.Name || to.Cmp(from) <= 0 {
				continue
			}
			g := grown{name: after.Name, from: from, to: to}
			g.class, g.allowed = f.expandable(after)
			all = append(all, g)
		}
	}
	return all
}

// expandable says whether the claim's class lets it grow; a class that is not
// known is not judged.
func (f SetFacts) expandable(claim *corev1.PersistentVolumeClaim) (name string, ok bool) {
	name = ptr.Deref(claim.Spec.StorageClassName, "")
	if claim.Spec.StorageClassName == nil {
		if class := volume.DefaultClass(f.Classes); class != nil {
			name = class.Name
		}
	}
	for _, class := range f.Classes {
		if class.Name == name {
			return name, ptr.Deref(class.AllowVolumeExpansion, false)
		}
	}
	return name, true
}
