package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Namespace checks a new namespace.
func Namespace(n *corev1.Namespace) field.ErrorList {
	var f findings
	f.meta(&n.ObjectMeta, false, apivalidation.ValidateNamespaceName)
	for _, name := range n.Spec.Finalizers {
		f.namespaceFinalizer(specPath.Child("finalizers"), string(name))
	}
	return f.list
}

func (f *findings) namespaceFinalizer(p *field.Path, name string) {
	f.add(apivalidation.ValidateFinalizerName(name, p)...)
	if !standardFinalizer(name) {
		f.invalid(p, name, unknownFinalizer)
	}
}

// NamespaceUpdate checks a change of a namespace.
func NamespaceUpdate(n, old *corev1.Namespace) field.ErrorList {
	var f findings
	f.metaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	return f.list
}

// NamespaceStatusUpdate checks a change of a namespace's status.
func NamespaceStatusUpdate(n, old *corev1.Namespace) field.ErrorList {
	var f findings
	f.metaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	p := statusPath.Child("Phase")
	if n.DeletionTimestamp.IsZero() {
		if n.Status.Phase != corev1.NamespaceActive {
			f.invalid(p, n.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty")
		}
	} else if n.Status.Phase != corev1.NamespaceTerminating {
		f.invalid(p, n.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
	}
	return f.list
}

// NamespaceFinalizeUpdate checks a change through the finalize subresource.
func NamespaceFinalizeUpdate(n, old *corev1.Namespace) field.ErrorList {
	var f findings
	f.metaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	for i, name := range n.Spec.Finalizers {
		f.namespaceFinalizer(specPath.Child("finalizers").Index(i), string(name))
	}
	return f.list
}

// Node checks a new node.
func Node(n *corev1.Node) field.ErrorList {
	var f findings
	f.meta(&n.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	f.taints(metaPath.Child("taints"), n.Spec.Taints)
	f.nodeResources(n)
	f.podCIDRs(n.Spec.PodCIDRs)
	return f.list
}

func (f *findings) nodeResources(n *corev1.Node) {
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"capacity", n.Status.Capacity}, {"allocatable", n.Status.Allocatable}} {
		for _, name := range sortedNames(l.list) {
			f.quantity(statusPath.Child(l.name, string(name)), name, l.list[name])
		}
	}
}

func (f *findings) podCIDRs(cidrs []string) {
	p := specPath.Child("podCIDRs")
	for i, c := range cidrs {
		f.add(validation.IsValidCIDR(p.Index(i), c)...)
	}
	if len(cidrs) < 2 {
		return
	}
	dual, err := netutils.IsDualStackCIDRStrings(cidrs)
	if err != nil {
		f.add(field.InternalError(p, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%w", err)))
	}
	if !dual || len(cidrs) > 2 {
		f.invalid(p, cidrs, "may specify no more than one CIDR for each IP family")
	}
	used := names{}
	for i, c := range cidrs {
		if !used.use(c) {
			f.add(field.Duplicate(p.Index(i), c))
		}
	}
}

// NodeUpdate checks a change of a node or of its status.
func NodeUpdate(n, old *corev1.Node) field.ErrorList {
	var f findings
	f.metaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	f.nodeResources(n)
	used := map[corev1.NodeAddress]bool{}
	for i, a := range n.Status.Addresses {
		if used[a] {
			f.add(field.Duplicate(statusPath.Child("addresses").Index(i), a))
		}
		used[a] = true
	}
	if was := old.Spec.PodCIDRs; len(was) > 0 {
		const fixed = `node updates may not change podCIDR except from "" to valid`
		p, is := specPath.Child("podCIDRs"), n.Spec.PodCIDRs
		if len(is) != len(was) {
			f.forbidden(p, fixed)
		} else {
			for i := range was {
				if is[i] != was[i] {
					f.forbidden(p, fixed)
				}
			}
		}
	}
	if was := old.Spec.ProviderID; was != "" && was != n.Spec.ProviderID {
		f.forbidden(specPath.Child("providerID"), `node updates may not change providerID except from "" to valid`)
	}
	f.taints(metaPath.Child("taints"), n.Spec.Taints)
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		f.forbidden(specPath.Child("externalID"), "may not be updated")
	}
	return f.list
}

// ServiceAccount checks a new service account.
func ServiceAccount(a *corev1.ServiceAccount) field.ErrorList {
	var f findings
	f.meta(&a.ObjectMeta, true, apivalidation.ValidateServiceAccountName)
	return f.list
}

// ServiceAccountUpdate checks a change of a service account.
func ServiceAccountUpdate(a, old *corev1.ServiceAccount) field.ErrorList {
	var f findings
	f.metaUpdate(&a.ObjectMeta, &old.ObjectMeta)
	f.meta(&a.ObjectMeta, true, apivalidation.ValidateServiceAccountName)
	return f.list
}
