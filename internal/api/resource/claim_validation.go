package resource

import (
	"fmt"
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// requests are the names of a claim's requests and of their alternatives.
type requests map[string][]string

func requestsOf(d *resourcev1.DeviceClaim) requests {
	out := requests{}
	for i := range d.Requests {
		var sub []string
		for _, s := range d.Requests[i].FirstAvailable {
			sub = append(sub, s.Name)
		}
		out[d.Requests[i].Name] = sub
	}
	return out
}

func (r requests) has(name string) bool {
	main, sub, alternative := strings.Cut(name, "/")
	subs, ok := r[main]
	return ok && (!alternative || slices.Contains(subs, sub))
}

func (c *check) claim(p *field.Path, d *resourcev1.DeviceClaim) {
	names := requestsOf(d)
	list := p.Child("requests")
	each(c, list, d.Requests, resourcev1.DeviceRequestsMaxSize, c.request)
	unique(c, list, d.Requests, resourcev1.DeviceRequestsMaxSize, func(a, b *resourcev1.DeviceRequest) bool { return a.Name == b.Name })
	each(c, p.Child("constraints"), d.Constraints, resourcev1.DeviceConstraintsMaxSize, func(p *field.Path, o *resourcev1.DeviceConstraint) {
		c.constraint(p, o, names)
	})
	each(c, p.Child("config"), d.Config, resourcev1.DeviceConfigMaxSize, func(p *field.Path, o *resourcev1.DeviceClaimConfiguration) {
		c.references(p.Child("requests"), o.Requests, names)
		c.configuration(p, &o.DeviceConfiguration)
	})
}

func (c *check) request(p *field.Path, r *resourcev1.DeviceRequest) {
	c.DNSLabel(p.Child("name"), r.Name)
	const oneOfTwo = "exactly one of `exactly` or `firstAvailable` is required"
	switch {
	case r.Exactly != nil && len(r.FirstAvailable) > 0:
		c.Invalid(p, nil, oneOfTwo+", but multiple fields are set")
	case r.Exactly != nil:
		e, p := r.Exactly, p.Child("exactly")
		if c.NotEmpty(p.Child("deviceClassName"), e.DeviceClassName) {
			c.DNSSubdomain(p.Child("deviceClassName"), e.DeviceClassName)
		}
		c.wish(p, e.Selectors, e.AllocationMode, e.Count, e.Tolerations)
	case len(r.FirstAvailable) > 0:
		p := p.Child("firstAvailable")
		each(c, p, r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize, func(p *field.Path, s *resourcev1.DeviceSubRequest) {
			c.DNSLabel(p.Child("name"), s.Name)
			declared(c, p.Child("deviceClassName"), s.DeviceClassName, validate.LongName)
			c.wish(p, s.Selectors, s.AllocationMode, s.Count, s.Tolerations)
		})
		unique(c, p, r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize, func(a, b *resourcev1.DeviceSubRequest) bool { return a.Name == b.Name })
	default:
		c.Required(p, oneOfTwo)
	}
}

// wish checks what all forms of a request have.
func (c *check) wish(p *field.Path, selectors []resourcev1.DeviceSelector, mode resourcev1.DeviceAllocationMode, count int64, tolerations []resourcev1.DeviceToleration) {
	c.selectors(p.Child("selectors"), selectors)
	switch mode {
	case resourcev1.DeviceAllocationModeAll:
		if count != 0 {
			c.Invalid(p.Child("count"), count, fmt.Sprintf("must not be specified when allocationMode is '%s'", mode))
		}
	case resourcev1.DeviceAllocationModeExactCount:
		if count <= 0 {
			c.Invalid(p.Child("count"), count, "must be greater than zero")
		}
	default:
		oneOf(c, p.Child("allocationMode"), mode, resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount)
	}
	for i := range tolerations {
		c.toleration(p.Child("tolerations").Index(i), &tolerations[i])
	}
}

func (c *check) constraint(p *field.Path, o *resourcev1.DeviceConstraint, names requests) {
	c.references(p.Child("requests"), o.Requests, names)
	switch {
	case o.MatchAttribute != nil:
		c.AddDeclared(validate.ResourceFullyQualifiedName(c.ctx, create, p.Child("matchAttribute"), o.MatchAttribute, nil)...)
	case o.DistinctAttribute != nil:
		c.AddDeclared(validate.ResourceFullyQualifiedName(c.ctx, create, p.Child("distinctAttribute"), o.DistinctAttribute, nil)...)
	default:
		c.Required(p, `exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`)
	}
}

func (c *check) references(p *field.Path, list []string, names requests) {
	each(c, p, list, resourcev1.DeviceRequestsMaxSize, func(p *field.Path, name *string) { c.reference(p, *name, names) })
	unique(c, p, list, resourcev1.DeviceRequestsMaxSize, func(a, b *string) bool { return *a == *b })
}

func (c *check) reference(p *field.Path, name string, names requests) {
	const unknown = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		c.Invalid(p, name, unknown)
		return
	}
	for _, part := range parts {
		c.DNSLabel(p, part)
	}
	if !names.has(name) {
		c.Invalid(p, name, unknown)
	}
}
