package resource

import (
	"fmt"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// policy checks in which portions a capacity is given out.
func (c *check) policy(p *field.Path, all resource.Quantity, r *resourcev1.CapacityRequestPolicy) {
	switch {
	case len(r.ValidValues) > 0 && r.ValidRange != nil:
		c.Forbidden(p, `exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)
	case len(r.ValidValues) > 0 && r.Default == nil:
		c.Required(p.Child("default"), "required when validValues is defined")
	case len(r.ValidValues) > 0:
		c.portions(p.Child("validValues"), *r.Default, all, r.ValidValues)
	case r.ValidRange != nil && r.Default == nil:
		c.Required(p.Child("default"), "required when validRange is defined")
	case r.ValidRange != nil:
		c.portionRange(p.Child("validRange"), *r.Default, all, r.ValidRange)
	}
}

const mostPortions = 10

func (c *check) portions(p *field.Path, usual, all resource.Quantity, list []resource.Quantity) {
	for i := 1; i < len(list); i++ {
		if list[i-1].Cmp(list[i]) > 0 {
			c.Invalid(p.Index(i), list[i].String(), "values must be sorted in ascending order")
		}
	}
	found := false
	if len(list) > mostPortions {
		c.Add(field.TooMany(p, len(list), mostPortions))
	} else {
		for i, portion := range list {
			if portion.Cmp(all) > 0 {
				c.Invalid(p.Index(i), portion.String(), fmt.Sprintf("option is larger than capacity value: %s", all.String()))
			}
			found = found || portion.Cmp(usual) == 0
		}
		seen := map[int64]bool{}
		for i, portion := range list {
			if seen[portion.Value()] {
				c.Add(field.Duplicate(p.Index(i), fmt.Sprint(portion.Value())))
			}
			seen[portion.Value()] = true
		}
	}
	if !found {
		c.Invalid(p, usual.String(), "default value is not valid according to the requestPolicy")
	}
}

func (c *check) portionRange(p *field.Path, usual, all resource.Quantity, r *resourcev1.CapacityRequestPolicyRange) {
	least, most := r.Min, r.Max
	if least == nil {
		c.Required(p.Child("min"), "required when validRange is defined")
		return
	}
	wrong := func(at string, value resource.Quantity, format string, other resource.Quantity) {
		c.Invalid(p.Child(at), value.String(), fmt.Sprintf(format, other.String()))
	}
	if least.Cmp(all) > 0 {
		wrong("min", *least, "min is larger than capacity value: %s", all)
	}
	if usual.Cmp(*least) < 0 {
		wrong("min", usual, "default is less than min: %s", *least)
	}
	if most != nil {
		if least.Cmp(*most) > 0 {
			wrong("max", *least, "min is larger than max: %s", *most)
		}
		if most.Cmp(all) > 0 {
			wrong("max", *most, "max is larger than capacity value: %s", all)
		}
		if usual.Cmp(*most) > 0 {
			wrong("max", usual, "default is more than max: %s", *most)
		}
	}
	if r.Step == nil {
		return
	}
	added := least.DeepCopy()
	added.Add(*r.Step)
	if added.Cmp(all) > 0 {
		c.Invalid(p.Child("step"), r.Step.String(), fmt.Sprintf("one step %s is larger than capacity value: %s", added.String(), all.String()))
	}
	c.step(p.Child("step"), usual, *least, *r.Step)
	if most != nil {
		c.step(p.Child("step"), *most, *least, *r.Step)
	}
}

func (c *check) step(p *field.Path, value, least, step resource.Quantity) {
	// A step of nothing, over which upstream's server divides, is a multiple of nothing.
	if by := step.Value(); by == 0 || (value.Value()-least.Value())%by != 0 {
		c.Invalid(p, value.String(), fmt.Sprintf("value is not a multiple of a given step (%s) from (%s)", step.String(), least.String()))
	}
}
