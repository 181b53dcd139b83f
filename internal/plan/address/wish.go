package address

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/yaml"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// The annotations that say where a pod's addresses come from.
const (
	PoolAnnotation     = "ipam.spidernet.io/ippool"
	PoolsAnnotation    = "ipam.spidernet.io/ippools"
	SubnetAnnotation   = "ipam.spidernet.io/subnet"
	SubnetsAnnotation  = "ipam.spidernet.io/subnets"
	RoutesAnnotation   = "ipam.spidernet.io/routes"
	NamespaceIPv4Pools = "ipam.spidernet.io/default-ipv4-ippool"
	NamespaceIPv6Pools = "ipam.spidernet.io/default-ipv6-ippool"
)

// Annotations of our own.
const (
	// AddressesAnnotation names the addresses of the pods of a set.
	AddressesAnnotation = "berth.dev/addresses"
	// RetentionAnnotation says what becomes of addresses that no pod needs.
	RetentionAnnotation = "berth.dev/address-retention"
)

// byFamily is the value of PoolAnnotation and an element of PoolsAnnotation.
type byFamily struct {
	Interface    string   `json:"interface,omitempty"`
	IPv4         []string `json:"ipv4,omitempty"`
	IPv6         []string `json:"ipv6,omitempty"`
	CleanGateway bool     `json:"cleangateway,omitempty"`
}

func (b *byFamily) names() map[Family]Names {
	out := map[Family]Names{}
	if len(b.IPv4) > 0 {
		out[IPv4] = Names{Names: b.IPv4, Listed: true}
	}
	if len(b.IPv6) > 0 {
		out[IPv6] = Names{Names: b.IPv6, Listed: true}
	}
	return out
}

func wrong(annotation string, err error) error {
	return fmt.Errorf("annotation %s: wrong input: %w", annotation, err)
}

// Wish is which pools one interface of a pod is to have its addresses from, if
// none is made of a SpiderSubnet for it (plan/autopool): the first of the pod's annotations and its namespace's that says so. nil means
// that none does and the default pools are meant.
//
// index is the interface's place among the pod's.
func Wish(pod, namespace map[string]string, nic string, index int) (map[Family]Names, error) {
	if text, ok := pod[PoolsAnnotation]; ok {
		one, err := ofInterface(text, nic, index)
		if err != nil {
			return nil, err
		}
		return one.names(), nil
	}
	if text, ok := pod[PoolAnnotation]; ok {
		var one byFamily
		if err := strictly(text, &one); err != nil {
			return nil, wrong(PoolAnnotation, err)
		}
		if len(one.IPv4)+len(one.IPv6) == 0 {
			return nil, wrong(PoolAnnotation, fmt.Errorf("neither ipv4 nor ipv6 names a pool"))
		}
		return one.names(), nil
	}
	out := map[Family]Names{}
	for f, a := range map[Family]string{IPv4: NamespaceIPv4Pools, IPv6: NamespaceIPv6Pools} {
		text, ok := namespace[a]
		if !ok {
			continue
		}
		var names []string
		if err := strictly(text, &names); err != nil {
			return nil, wrong(a, err)
		}
		if len(names) > 0 {
			out[f] = Names{Names: names, Listed: true}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// ofInterface finds the element of PoolsAnnotation for one interface; without
// names the elements are for the interfaces in their order, eth0 first.
func ofInterface(text, nic string, index int) (*byFamily, error) {
	var all []byFamily
	if err := strictly(text, &all); err != nil {
		return nil, wrong(PoolsAnnotation, err)
	}
	named := 0
	seen := map[string]bool{}
	for _, one := range all {
		if one.Interface == "" {
			continue
		}
		named++
		if seen[one.Interface] {
			return nil, wrong(PoolsAnnotation, fmt.Errorf("interface %s is there twice", one.Interface))
		}
		seen[one.Interface] = true
	}
	switch {
	case len(all) == 0:
		return nil, wrong(PoolsAnnotation, fmt.Errorf("it names no pool"))
	case named == 0 && index < len(all):
		return &all[index], nil
	case named == 0:
		return nil, wrong(PoolsAnnotation, fmt.Errorf("it has nothing for interface %s, the %d. one", nic, index+1))
	case named < len(all):
		return nil, wrong(PoolsAnnotation, fmt.Errorf("either all elements have an interface or none"))
	}
	i := slices.IndexFunc(all, func(one byFamily) bool { return one.Interface == nic })
	if i < 0 {
		return nil, wrong(PoolsAnnotation, fmt.Errorf("interface %s is not among them", nic))
	}
	return &all[i], nil
}

// NoGateway reports whether an interface is to have no default route.
func NoGateway(pod map[string]string, nic string, index int) bool {
	text, ok := pod[PoolsAnnotation]
	if !ok {
		return false
	}
	one, err := ofInterface(text, nic, index)
	return err == nil && one.CleanGateway
}

// strictly reads JSON and nothing after it.
func strictly(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("something follows the JSON value")
	}
	return nil
}

// Routes reads RoutesAnnotation.
func Routes(pod map[string]string) ([]spiderpoolv2beta1.Route, error) {
	text, ok := pod[RoutesAnnotation]
	if !ok {
		return nil, nil
	}
	var routes []spiderpoolv2beta1.Route
	if err := strictly(text, &routes); err != nil {
		return nil, wrong(RoutesAnnotation, err)
	}
	for _, r := range routes {
		dst, err := netip.ParsePrefix(r.Dst)
		if err != nil {
			return nil, wrong(RoutesAnnotation, err)
		}
		gw, err := netip.ParseAddr(r.Gw)
		if err != nil {
			return nil, wrong(RoutesAnnotation, err)
		}
		if dst.Addr().Is4() != gw.Is4() {
			return nil, wrong(RoutesAnnotation, fmt.Errorf("%s and %s are of two families", r.Dst, r.Gw))
		}
	}
	return routes, nil
}

// Given is what AddressesAnnotation says: addresses by pod name, and ranges that
// are dealt out by ordinal.
type Given struct {
	byPod  map[string][]netip.Addr
	ranges map[Family][]Span
}

// ParseGiven reads AddressesAnnotation: "web-0=10.6.168.101,web-1=10.6.168.105",
// "10.6.168.101-10.6.168.110", or some of each.
func ParseGiven(text string) (Given, error) {
	g := Given{byPod: map[string][]netip.Addr{}, ranges: map[Family][]Span{}}
	owner := map[netip.Addr]string{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, named := strings.Cut(part, "=")
		if !named {
			value = part
		}
		span, err := ParseSpan(strings.TrimSpace(value))
		if err != nil {
			return Given{}, wrong(AddressesAnnotation, err)
		}
		f := FamilyOf(span.First)
		if !named {
			g.ranges[f] = append(g.ranges[f], span)
			continue
		}
		name = strings.TrimSpace(name)
		if span.First != span.Last || name == "" {
			return Given{}, wrong(AddressesAnnotation, fmt.Errorf("%q does not give one pod one address", part))
		}
		if other, taken := owner[span.First]; taken {
			return Given{}, wrong(AddressesAnnotation, fmt.Errorf("%s is given to %s and to %s", span.First, other, name))
		}
		if slices.ContainsFunc(g.byPod[name], func(a netip.Addr) bool { return FamilyOf(a) == f }) {
			return Given{}, wrong(AddressesAnnotation, fmt.Errorf("%s is given two IPv%d addresses", name, f))
		}
		owner[span.First] = name
		g.byPod[name] = append(g.byPod[name], span.First)
	}
	if len(g.byPod)+len(g.ranges) == 0 {
		return Given{}, wrong(AddressesAnnotation, fmt.Errorf("it names no address"))
	}
	return g, nil
}

// For is the address that a pod is given, if any; index is its place among the
// pods of its set, from 0.
func (g *Given) For(pod string, index int, f Family) (netip.Addr, bool) {
	for _, a := range g.byPod[pod] {
		if FamilyOf(a) == f {
			return a, true
		}
	}
	if index < 0 {
		return netip.Addr{}, false
	}
	left := uint64(index)
	for _, s := range g.ranges[f] {
		n, huge := s.size()
		if huge || left < n {
			return s.at(left), true
		}
		left -= n
	}
	return netip.Addr{}, false
}

// All are the addresses of one family that are given to somebody.
func (g *Given) All(f Family) []Span {
	out := slices.Clone(g.ranges[f])
	for _, list := range g.byPod {
		for _, a := range list {
			if FamilyOf(a) == f {
				out = append(out, Span{a, a})
			}
		}
	}
	return Merge(out)
}

// Retention says what becomes of the addresses of a set's pods that are not
// wanted any more. The zero value releases them.
type Retention struct {
	WhenScaled  bool
	WhenDeleted bool
	// For is how long they are kept; 0 is for ever.
	For time.Duration
}

// String is the form that ParseRetention reads; the zero value is empty.
func (r Retention) String() string {
	if r == (Retention{}) {
		return ""
	}
	word := map[bool]string{false: "Delete", true: "Retain"}
	text := fmt.Sprintf(`{"whenScaled":%q,"whenDeleted":%q`, word[r.WhenScaled], word[r.WhenDeleted])
	if r.For > 0 {
		text += fmt.Sprintf(`,"retainFor":%q`, r.For)
	}
	return text + "}"
}

// ParseRetention reads RetentionAnnotation, in YAML or JSON. An empty text is
// the zero value.
func ParseRetention(text string) (Retention, error) {
	var said struct {
		WhenScaled  string `json:"whenScaled"`
		WhenDeleted string `json:"whenDeleted"`
		RetainFor   string `json:"retainFor"`
	}
	if strings.TrimSpace(text) == "" {
		return Retention{}, nil
	}
	object, err := yaml.ToJSON([]byte("#\n" + text)) // what begins with a brace would be taken for JSON
	if err != nil {
		return Retention{}, wrong(RetentionAnnotation, err)
	}
	d := json.NewDecoder(strings.NewReader(string(object)))
	d.DisallowUnknownFields()
	if err := d.Decode(&said); err != nil {
		return Retention{}, wrong(RetentionAnnotation, err)
	}
	var r Retention
	for _, one := range []struct {
		name, value string
		into        *bool
	}{{"whenScaled", said.WhenScaled, &r.WhenScaled}, {"whenDeleted", said.WhenDeleted, &r.WhenDeleted}} {
		switch one.value {
		case "", "Delete":
		case "Retain":
			*one.into = true
		default:
			return Retention{}, wrong(RetentionAnnotation, fmt.Errorf("%s is %q, not Retain or Delete", one.name, one.value))
		}
	}
	if said.RetainFor != "" {
		if r.For, err = time.ParseDuration(said.RetainFor); err != nil || r.For <= 0 {
			return Retention{}, wrong(RetentionAnnotation, fmt.Errorf("retainFor %q is not a time above 0, such as 10m", said.RetainFor))
		}
	}
	return r, nil
}
