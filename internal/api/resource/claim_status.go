package resource

import (
	"slices"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/api/validate"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/dynamic-resource-allocation/structured/schedulerapi"
)

func (c *check) claimStatus(r, old *resourcev1.ResourceClaim) {
	s, was := &r.Status, &old.Status
	p := statusPath.Child("reservedFor")
	each(c, p, s.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize, func(p *field.Path, u *resourcev1.ResourceClaimConsumerReference) {
		c.NotEmpty(p.Child("resource"), u.Resource)
		c.NotEmpty(p.Child("name"), u.Name)
		c.NotEmpty(p.Child("uid"), string(u.UID))
	})
	unique(c, p, s.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize, func(a, b *resourcev1.ResourceClaimConsumerReference) bool { return a.UID == b.UID })

	c.devices(s)
	if len(s.ReservedFor) > 0 {
		added := func(u resourcev1.ResourceClaimConsumerReference) bool { return !slices.Contains(was.ReservedFor, u) }
		switch {
		case s.Allocation == nil:
			c.Forbidden(p, "may not be specified when `allocated` is not set")
		case r.DeletionTimestamp != nil && slices.ContainsFunc(s.ReservedFor, added):
			c.Forbidden(p, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set")
		}
	}
	p = statusPath.Child("allocation")
	switch {
	case s.Allocation == nil:
	case was.Allocation == nil:
		c.allocation(p, s.Allocation, requestsOf(&r.Spec.Devices))
	case !equality.Semantic.DeepEqual(s.Allocation, was.Allocation):
		change := operation.Operation{Type: operation.Update}
		c.AddDeclared(validate.UpdatePointer(c.ctx, change, p, s.Allocation, was.Allocation, validate.NoModify)...)
	}
}

func sharedID(driver, pool, device string, share *types.UID) schedulerapi.SharedDeviceID {
	return schedulerapi.MakeSharedDeviceID(schedulerapi.MakeDeviceID(driver, pool, device), share)
}

// devices checks what drivers say about allocated devices.
func (c *check) devices(s *resourcev1.ResourceClaimStatus) {
	allocated := map[schedulerapi.SharedDeviceID]bool{}
	if s.Allocation != nil {
		for _, r := range s.Allocation.Devices.Results {
			allocated[sharedID(r.Driver, r.Pool, r.Device, r.ShareID)] = true
		}
	}
	id := func(d *resourcev1.AllocatedDeviceStatus) schedulerapi.SharedDeviceID {
		return sharedID(d.Driver, d.Pool, d.Device, (*types.UID)(d.ShareID))
	}
	p := statusPath.Child("devices")
	each(c, p, s.Devices, -1, func(p *field.Path, d *resourcev1.AllocatedDeviceStatus) {
		c.CSIDriver(p.Child("driver"), d.Driver)
		c.pool(p.Child("pool"), d.Pool)
		c.DNSLabel(p.Child("device"), d.Device)
		c.AddDeclared(validate.UUID(c.ctx, create, p.Child("shareID"), d.ShareID, nil)...)
		if !allocated[id(d)] {
			c.Invalid(p, id(d), "must be an allocated device in the claim")
		}
		if n := len(d.Conditions); n > resourcev1.AllocatedDeviceStatusMaxConditions {
			c.Add(field.TooMany(p.Child("conditions"), n, resourcev1.AllocatedDeviceStatusMaxConditions))
		}
		c.Add(metavalidation.ValidateConditions(d.Conditions, p.Child("conditions"))...)
		if d.Data != nil && len(d.Data.Raw) > 0 {
			c.object(p.Child("data"), d.Data.Raw, false, resourcev1.AllocatedDeviceStatusDataMaxLength)
		}
		if d.NetworkData != nil {
			c.networkData(p.Child("networkData"), d.NetworkData)
		}
	})
	unique(c, p, s.Devices, -1, func(a, b *resourcev1.AllocatedDeviceStatus) bool { return id(a) == id(b) })
}

func (c *check) networkData(p *field.Path, n *resourcev1.NetworkDeviceData) {
	c.AddDeclared(validate.MaxBytes(c.ctx, create, p.Child("interfaceName"), &n.InterfaceName, nil, resourcev1.NetworkDeviceDataInterfaceNameMaxLength)...)
	each(c, p.Child("ips"), n.IPs, resourcev1.NetworkDeviceDataMaxIPs, func(p *field.Path, address *string) {
		c.Add(utilvalidation.IsValidInterfaceAddress(p, *address)...)
	})
	unique(c, p.Child("ips"), n.IPs, resourcev1.NetworkDeviceDataMaxIPs, func(a, b *string) bool { return *a == *b })
	c.AddDeclared(validate.MaxBytes(c.ctx, create, p.Child("hardwareAddress"), &n.HardwareAddress, nil, resourcev1.NetworkDeviceDataHardwareAddressMaxLength)...)
}

func (c *check) allocation(p *field.Path, a *resourcev1.AllocationResult, names requests) {
	d := p.Child("devices")
	each(c, d.Child("results"), a.Devices.Results, resourcev1.AllocationResultsMaxSize, func(p *field.Path, r *resourcev1.DeviceRequestAllocationResult) {
		c.reference(p.Child("request"), r.Request, names)
		c.driver(p.Child("driver"), r.Driver)
		declared(c, p.Child("pool"), r.Pool, validate.ResourcePoolName)
		c.DNSLabel(p.Child("device"), r.Device)
		c.conditions(p, r.BindingConditions, r.BindingFailureConditions)
		c.AddDeclared(validate.UUID(c.ctx, create, p.Child("shareID"), r.ShareID, nil)...)
	})
	each(c, d.Child("config"), a.Devices.Config, 2*resourcev1.DeviceConfigMaxSize, func(p *field.Path, o *resourcev1.DeviceAllocationConfiguration) {
		if c.Declared(p.Child("source"), string(o.Source)) {
			oneOf(c, p.Child("source"), o.Source, resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass)
		}
		c.references(p.Child("requests"), o.Requests, names)
		c.configuration(p, &o.DeviceConfiguration)
	})
	if a.NodeSelector != nil {
		c.NodeSelector(p.Child("nodeSelector"), a.NodeSelector)
	}
}
