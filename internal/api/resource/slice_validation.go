package resource

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/validation"
)

func (c *check) slice(s, old *resourcev1.ResourceSliceSpec) {
	c.CSIDriver(specPath.Child("driver"), s.Driver)
	pool := specPath.Child("pool")
	c.pool(pool.Child("name"), s.Pool.Name)
	if s.Pool.ResourceSliceCount <= 0 {
		c.Invalid(pool.Child("resourceSliceCount"), s.Pool.ResourceSliceCount, "must be greater than zero")
	}
	if s.Pool.Generation < 0 {
		c.Invalid(pool.Child("generation"), s.Pool.Generation, "must be greater than or equal to zero")
	}
	if old != nil {
		c.Immutable(pool.Child("name"), s.Pool.Name, old.Pool.Name)
		c.Immutable(specPath.Child("driver"), s.Driver, old.Driver)
		c.Immutable(specPath.Child("nodeName"), s.NodeName, old.NodeName)
	}
	c.nodes(s)
	if s.SharedCounters != nil && s.Devices != nil {
		c.Invalid(specPath, "", "only one of `sharedCounters` or `devices` is allowed")
	}
	c.sliceDevices(s, old)
	p := specPath.Child("sharedCounters")
	each(c, p, s.SharedCounters, resourcev1.ResourceSliceMaxCounterSets, func(p *field.Path, set *resourcev1.CounterSet) {
		c.counters(p, "name", set.Name, set.Counters, resourcev1.ResourceSliceMaxCountersPerCounterSet)
	})
	unique(c, p, s.SharedCounters, resourcev1.ResourceSliceMaxCounterSets, func(a, b *resourcev1.CounterSet) bool { return a.Name == b.Name })
}

// nodes checks on which nodes the devices are.
func (c *check) nodes(s *resourcev1.ResourceSliceSpec) {
	p := specPath
	var set []string
	if n := s.NodeName; n != nil {
		if *n != "" {
			set = append(set, "`nodeName`")
			c.node(p.Child("nodeName"), *n)
		} else {
			c.Invalid(p.Child("nodeName"), *n, "must be either unset or set to a non-empty string")
		}
	}
	if n := s.NodeSelector; n != nil {
		set = append(set, "`nodeSelector`")
		c.NodeSelector(p.Child("nodeSelector"), n)
		if len(n.NodeSelectorTerms) != 1 {
			c.Invalid(p.Child("nodeSelector", "nodeSelectorTerms"), validation.Untagged(n.NodeSelectorTerms), "must have exactly one node selector term")
		}
	}
	flag := func(name string, value *bool) {
		if value == nil {
			return
		}
		if *value {
			set = append(set, "`"+name+"`")
		} else {
			c.Invalid(p.Child(name), false, "must be either unset or set to true")
		}
	}
	flag("allNodes", s.AllNodes)
	flag("perDeviceNodeSelection", s.PerDeviceNodeSelection)
	const oneOfFour = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	switch len(set) {
	case 0:
		c.Required(p, oneOfFour)
	case 1:
	default:
		c.Invalid(p, "{"+strings.Join(set, ", ")+"}", oneOfFour+", but multiple fields are set")
	}
}

func (c *check) sliceDevices(s, old *resourcev1.ResourceSliceSpec) {
	most := resourcev1.ResourceSliceMaxDevices
	if slices.ContainsFunc(s.Devices, func(d resourcev1.Device) bool { return len(d.Taints) > 0 || len(d.ConsumesCounters) > 0 }) {
		most = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
	}
	p := specPath.Child("devices")
	if len(s.Devices) > most {
		c.Add(field.TooMany(p, len(s.Devices), most))
		return
	}
	own := s.PerDeviceNodeSelection != nil && *s.PerDeviceNodeSelection
	before := map[string]*resourcev1.Device{}
	if old != nil {
		for i := range old.Devices {
			before[old.Devices[i].Name] = &old.Devices[i]
		}
	}
	for i := range s.Devices {
		c.device(p.Index(i), &s.Devices[i], before[s.Devices[i].Name], own)
	}
	names := map[string]bool{}
	for i := range s.Devices {
		if name := s.Devices[i].Name; names[name] {
			c.Add(field.Duplicate(p.Index(i), name))
		} else {
			names[name] = true
		}
	}
}

func (c *check) device(p *field.Path, d, old *resourcev1.Device, ownNodes bool) {
	c.DNSLabel(p.Child("name"), d.Name)
	const most = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
	if n := len(d.Attributes) + len(d.Capacity); n > most {
		c.Invalid(p, n, fmt.Sprintf("the total number of attributes and capacities must not exceed %d", most))
	}
	for _, name := range sortedKeys(d.Attributes) {
		p := p.Child("attributes").Key(shortened(string(name)))
		c.qualifiedName(p, string(name))
		a := d.Attributes[name]
		c.attribute(p, &a)
	}
	multiple := d.AllowMultipleAllocations != nil && *d.AllowMultipleAllocations
	for _, name := range sortedKeys(d.Capacity) {
		p := p.Child("capacity").Key(shortened(string(name)))
		c.qualifiedName(p, string(name))
		capacity := d.Capacity[name]
		switch {
		case capacity.RequestPolicy == nil:
		case multiple:
			c.policy(p.Child("requestPolicy"), capacity.Value, capacity.RequestPolicy)
		default:
			c.Forbidden(p.Child("requestPolicy"), "allowMultipleAllocations must be true")
		}
	}
	if old == nil || !equality.Semantic.DeepEqual(old.Taints, d.Taints) {
		if len(d.Taints) > resourcev1.DeviceTaintsMaxLength {
			c.Add(field.TooMany(p.Child("taints"), len(d.Taints), resourcev1.DeviceTaintsMaxLength))
		} else {
			each(c, p.Child("taints"), d.Taints, -1, func(p *field.Path, t *resourcev1.DeviceTaint) { c.taint(p, t, nil) })
		}
	}
	list := p.Child("consumesCounters")
	const mostSets = resourcev1.ResourceSliceMaxDeviceCounterConsumptionsPerDevice
	each(c, list, d.ConsumesCounters, mostSets, func(p *field.Path, o *resourcev1.DeviceCounterConsumption) {
		c.counters(p, "counterSet", o.CounterSet, o.Counters, resourcev1.ResourceSliceMaxCountersPerDeviceCounterConsumption)
	})
	unique(c, list, d.ConsumesCounters, mostSets, func(a, b *resourcev1.DeviceCounterConsumption) bool { return a.CounterSet == b.CounterSet })
	c.deviceNodes(p, d, ownNodes)
	c.conditions(p, d.BindingConditions, d.BindingFailureConditions)
}

func (c *check) deviceNodes(p *field.Path, d *resourcev1.Device, own bool) {
	if !own {
		if d.NodeName != nil || d.NodeSelector != nil || d.AllNodes != nil {
			c.Invalid(p, nil, "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec")
		}
		return
	}
	var set []string
	if n := d.NodeName; n != nil {
		if *n != "" {
			set = append(set, "`nodeName`")
			c.node(p.Child("nodeName"), *n)
		} else {
			c.Invalid(p.Child("nodeName"), *n, "must not be empty")
		}
	}
	if d.NodeSelector != nil {
		set = append(set, "`nodeSelector`")
		c.NodeSelector(p.Child("nodeSelector"), d.NodeSelector)
	}
	if a := d.AllNodes; a != nil {
		if *a {
			set = append(set, "`allNodes`")
		} else {
			c.Invalid(p.Child("allNodes"), false, "must be either unset or set to true")
		}
	}
	const oneOfThree = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
	switch len(set) {
	case 0:
		c.Required(p, oneOfThree)
	case 1:
	default:
		c.Invalid(p, "{"+strings.Join(set, ", ")+"}", oneOfThree)
	}
}

// counters checks a set of counters, or what a device takes of one.
func (c *check) counters(p *field.Path, nameField, name string, counters map[string]resourcev1.Counter, most int) {
	declared(c, p.Child(nameField), name, validate.ShortName)
	p = p.Child("counters")
	switch {
	case len(counters) == 0:
		c.AddDeclared(field.Required(p, ""))
	case len(counters) > most:
		c.Add(field.TooMany(p, len(counters), most))
	default:
		for _, key := range sortedKeys(counters) {
			c.AddDeclared(validate.ShortName(c.ctx, create, p, &key, nil)...)
		}
	}
}

var attributeForms = validate.NewUnionMembership(
	validate.NewUnionMember("int"), validate.NewUnionMember("bool"), validate.NewUnionMember("string"), validate.NewUnionMember("version"),
	validate.NewUnionMember("ints"), validate.NewUnionMember("bools"), validate.NewUnionMember("strings"), validate.NewUnionMember("versions"),
)

// semantic is the form of version numbers, as semver.org has it.
var semantic = sync.OnceValue(func() *regexp.Regexp {
	const number, tag, build = `(0|[1-9]\d*)`, `(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)`, `[0-9a-zA-Z-]+`
	return regexp.MustCompile(`^` + number + `\.` + number + `\.` + number + `(-` + tag + `(\.` + tag + `)*)?(\+` + build + `(\.` + build + `)*)?$`)
})

func (c *check) attribute(p *field.Path, a *resourcev1.DeviceAttribute) {
	tooLong := func(p *field.Path, text string) {
		if len(text) > resourcev1.DeviceAttributeMaxValueLength {
			c.Add(field.TooLong(p, "", resourcev1.DeviceAttributeMaxValueLength))
		}
	}
	if a.StringValue != nil {
		tooLong(p.Child("string"), *a.StringValue)
	}
	if v := a.VersionValue; v != nil {
		if !semantic().MatchString(*v) {
			c.Invalid(p.Child("version"), *v, "must be a string compatible with semver.org spec 2.0.0")
		}
		tooLong(p.Child("version"), *v)
	}
	none := func(*resourcev1.DeviceAttribute) bool { return false } // lists are behind a gate
	c.AddDeclared(validate.Union(c.ctx, create, p, a, nil, attributeForms,
		func(a *resourcev1.DeviceAttribute) bool { return a.IntValue != nil },
		func(a *resourcev1.DeviceAttribute) bool { return a.BoolValue != nil },
		func(a *resourcev1.DeviceAttribute) bool { return a.StringValue != nil },
		func(a *resourcev1.DeviceAttribute) bool { return a.VersionValue != nil },
		none, none, none, none)...)
}

// qualifiedName checks the name of an attribute or a capacity: an identifier,
// after a domain if it is not the driver's own.
func (c *check) qualifiedName(p *field.Path, name string) {
	identifier := func(id string) {
		if len(id) > resourcev1.DeviceMaxIDLength {
			c.Add(field.TooLong(p, "", resourcev1.DeviceMaxIDLength))
		}
		c.Messages(p, id, content.IsCIdentifier(id))
	}
	parts := strings.Split(name, "/")
	switch len(parts) {
	case 1:
		identifier(name)
	case 2:
		if parts[0] == "" {
			c.Invalid(p, "", "the domain must not be empty")
		} else {
			c.CSIDriver(p, parts[0])
		}
		if parts[1] == "" {
			c.Invalid(p, "", "the name must not be empty")
		} else {
			identifier(parts[1])
		}
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// shortened leaves out the middle of a key that is longer than any may be.
func shortened(key string) string {
	const longest, dots = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength, "..."
	if len(key) <= longest {
		return key
	}
	rest := longest - len(dots)
	return key[:(rest+1)/2] + dots + key[len(key)-rest/2:]
}
