package quota

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/quota/v1/generic"
)

// devices are the claims to devices: charged for themselves, and for the most
// devices of each class that they may be given.
type devices struct{}

var (
	deviceClaims     = schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}
	deviceClaimCount = generic.ObjectCountQuotaResourceNameFor(deviceClaims)
)

func (devices) scoped() bool { return false }

func (devices) handles(a attributes) bool {
	return a.GetSubresource() == "" && (a.GetOperation() == admission.Create || a.GetOperation() == admission.Update)
}

func (devices) constraints([]corev1.ResourceName, runtime.Object) error { return nil }

func (devices) tracked(name corev1.ResourceName) bool {
	return name == deviceClaimCount || strings.HasSuffix(string(name), corev1.ResourceClaimsPerClass)
}

func (devices) inScope(corev1.ScopedResourceSelectorRequirement, runtime.Object) (bool, error) {
	return false, nil
}

func (devices) usage(obj runtime.Object) (corev1.ResourceList, error) {
	claim, ok := obj.(*resourcev1.ResourceClaim)
	if !ok {
		return nil, unexpected("resource claim", obj)
	}
	out := corev1.ResourceList{deviceClaimCount: one()}
	charge := func(class string, devices int64) {
		name := corev1.ResourceName(class + corev1.ResourceClaimsPerClass)
		sum := out[name]
		sum.Add(*resource.NewQuantity(devices, resource.DecimalSI))
		out[name] = sum
	}
	for i := range claim.Spec.Devices.Requests {
		r := &claim.Spec.Devices.Requests[i]
		if r.Exactly != nil && len(r.FirstAvailable) == 0 {
			charge(r.Exactly.DeviceClassName, most(r.Exactly.AllocationMode, r.Exactly.Count))
			continue
		}
		worst := map[string]int64{} // of the alternatives of one class
		for _, s := range r.FirstAvailable {
			if n := most(s.AllocationMode, s.Count); n > worst[s.DeviceClassName] {
				worst[s.DeviceClassName] = n
			}
		}
		for class, n := range worst {
			charge(class, n)
		}
	}
	return out, nil
}

// most is how many devices a request may be given.
func most(mode resourcev1.DeviceAllocationMode, count int64) int64 {
	switch mode {
	case resourcev1.DeviceAllocationModeExactCount:
		return count
	case resourcev1.DeviceAllocationModeAll:
		return resourcev1.AllocationResultsMaxSize
	}
	return 0
}
