package admission

import (
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"

	"github.com/google/go-cmp/cmp"
)

// ownNode: a node writes its own object, but not what would draw pods to it.
func ownNode(r nodeRequest) error {
	name := r.GetName()
	object, _ := r.GetObject().(*corev1.Node)
	if name == "" && r.GetOperation() == admission.Create && object != nil {
		name = object.Name
	}
	if name != r.node {
		return r.refuse("node %q is not allowed to modify node %q", r.node, name)
	}
	switch r.GetOperation() {
	case admission.Create:
		if object == nil {
			return r.refuse("unexpected type %T", r.GetObject())
		}
		if object.Spec.ConfigSource != nil {
			return r.refuse("node %q is not allowed to create pods with a non-nil configSource", r.node)
		}
		if bad := forbiddenLabels(object.Labels, nil); len(bad) > 0 {
			return r.refuse("node %q is not allowed to set the following labels: %s", r.node, strings.Join(bad, ", "))
		}
	case admission.Update:
		return updateNode(r)
	}
	return nil
}

func updateNode(r nodeRequest) error {
	object, ok := r.GetObject().(*corev1.Node)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	old, ok := r.GetOldObject().(*corev1.Node)
	if !ok {
		return r.refuse("unexpected type %T", r.GetOldObject())
	}
	if object.Spec.ConfigSource != nil && !equality.Semantic.DeepEqual(object.Spec.ConfigSource, old.Spec.ConfigSource) {
		return r.refuse("node %q is not allowed to update configSource to a new non-nil configSource", r.node)
	}
	if !equality.Semantic.DeepEqual(object.Spec.Taints, old.Spec.Taints) {
		return r.refuse("node %q is not allowed to modify taints", r.node)
	}
	if !equality.Semantic.DeepEqual(object.OwnerReferences, old.OwnerReferences) {
		return r.refuse("node %q is not allowed to modify ownerReferences", r.node)
	}
	if bad := forbiddenLabels(object.Labels, old.Labels); len(bad) > 0 {
		return r.refuse("is not allowed to modify labels: %s", strings.Join(bad, ", "))
	}
	return nil
}

// nodeLabels are the labels of Kubernetes' own that a node may set on itself.
var nodeLabels = []string{
	corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
	corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
	corev1.LabelInstanceType, corev1.LabelInstanceTypeStable,
	corev1.LabelOSStable, corev1.LabelArchStable,
	"beta.kubernetes.io/os", "beta.kubernetes.io/arch",
}

// forbiddenLabels are the changed labels that only an administrator may set.
func forbiddenLabels(now, before map[string]string) []string {
	var bad []string
	check := func(key string) {
		domain, _, ok := strings.Cut(key, "/")
		if !ok {
			return
		}
		in := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
		if in("node-restriction.kubernetes.io") ||
			((in("kubernetes.io") || in("k8s.io")) && !slices.Contains(nodeLabels, key) && !in("kubelet.kubernetes.io") && !in("node.kubernetes.io")) {
			bad = append(bad, key)
		}
	}
	for key, value := range now {
		if was, ok := before[key]; !ok || was != value {
			check(key)
		}
	}
	for key := range before {
		if _, ok := now[key]; !ok {
			check(key)
		}
	}
	slices.Sort(bad)
	return bad
}

// ownLease: a node renews its own lease.
func ownLease(r nodeRequest) error {
	if r.GetNamespace() != corev1.NamespaceNodeLease {
		return r.refuse("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	name := r.GetName()
	if r.GetOperation() == admission.Create {
		lease, ok := r.GetObject().(*coordinationv1.Lease)
		if !ok {
			return r.refuse("unexpected type %T", r.GetObject())
		}
		name = lease.Name
	}
	if name != r.node {
		return r.refuse("can only access node lease with the same name as the requesting node")
	}
	return nil
}

func ownCSINode(r nodeRequest) error {
	name := r.GetName()
	if r.GetOperation() == admission.Create {
		object, ok := r.GetObject().(*storagev1.CSINode)
		if !ok {
			return r.refuse("unexpected type %T", r.GetObject())
		}
		name = object.Name
	}
	if name != r.node {
		return r.refuse("can only access CSINode with the same name as the requesting node")
	}
	return nil
}

// claimStatus: a node reports how far a claim's volume has grown.
func claimStatus(r nodeRequest) error {
	if r.GetOperation() != admission.Update {
		return r.refuse("unexpected operation %q", r.GetOperation())
	}
	old, ok := r.GetOldObject().(*corev1.PersistentVolumeClaim)
	if !ok {
		return r.refuse("unexpected type %T", r.GetOldObject())
	}
	object, ok := r.GetObject().(*corev1.PersistentVolumeClaim)
	if !ok {
		return r.refuse("unexpected type %T", r.GetObject())
	}
	a, b := rest(old), rest(object)
	if !equality.Semantic.DeepEqual(a, b) {
		return r.refuse("node %q is not allowed to update fields other than status.capacity and status.conditions: %v", r.node, cmp.Diff(a, b))
	}
	return nil
}

// rest is the claim without what a node may change.
func rest(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	c := claim.DeepCopy()
	c.ResourceVersion, c.ManagedFields = "", nil
	c.Status.Capacity, c.Status.Conditions = nil, nil
	c.Status.AllocatedResources, c.Status.AllocatedResourceStatuses = nil, nil
	c.Status.CurrentVolumeAttributesClassName, c.Status.ModifyVolumeStatus = nil, nil
	return c
}
