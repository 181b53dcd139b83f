package attachment

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The annotations of a pod that say which networks it is in.
const (
	FirstAnnotation      = "v1.multus-cni.io/default-network"
	FurtherAnnotation    = "k8s.v1.cni.cncf.io/networks"
	DefaultNICAnnotation = "ipam.spidernet.io/default-route-nic"
	// StatusAnnotation says what became of them.
	StatusAnnotation = "k8s.v1.cni.cncf.io/network-status"
)

const (
	// FirstNIC is a pod's first interface.
	FirstNIC = "eth0"
	// NodeNIC is the wire to the node of a pod whose first interface is elsewhere.
	NodeNIC = "veth0"
	// systemNamespace is where a default network without a namespace lies.
	systemNamespace = "kube-system"
	maxName         = 15 // of an interface, in the kernel
)

// Selection is one interface that a pod asks for.
type Selection struct {
	Network   types.NamespacedName
	Interface string
	// Addrs are addresses that it is to have, at most one of each family.
	Addrs []netip.Addr
	MAC   string
	// DefaultRoute says that the pod's default route is by this interface.
	DefaultRoute bool
}

// element is one element of the JSON form.
type element struct {
	Name         string   `json:"name"`
	Namespace    string   `json:"namespace"`
	IPs          []string `json:"ips"`
	MAC          string   `json:"mac"`
	Interface    string   `json:"interface"`
	DefaultRoute []string `json:"default-route"`
}

func wrong(annotation string, err error) error {
	return fmt.Errorf("annotation %s: wrong input: %w", annotation, err)
}

// Selected are the interfaces that a pod asks for, eth0 first where that is not
// the node's own network. Most pods ask for none.
func Selected(annotations map[string]string, namespace string) ([]Selection, error) {
	var out []Selection
	if text := strings.TrimSpace(annotations[FirstAnnotation]); text != "" {
		first, err := list(text, systemNamespace)
		if err == nil && len(first) != 1 {
			err = fmt.Errorf("it names %d networks, not one", len(first))
		}
		if err == nil && first[0].Interface != "" && first[0].Interface != FirstNIC {
			err = fmt.Errorf("the first interface is %s, not %s", FirstNIC, first[0].Interface)
		}
		if err != nil {
			return nil, wrong(FirstAnnotation, err)
		}
		first[0].Interface = FirstNIC
		out = first
	}
	if text := strings.TrimSpace(annotations[FurtherAnnotation]); text != "" {
		further, err := list(text, namespace)
		if err == nil {
			err = nameInterfaces(further)
		}
		if err != nil {
			return nil, wrong(FurtherAnnotation, err)
		}
		out = append(out, further...)
	}
	return out, choose(out, annotations[DefaultNICAnnotation])
}

// nameInterfaces gives the n-th network the interface netN, and refuses names
// that are there already.
func nameInterfaces(further []Selection) error {
	seen := map[string]bool{FirstNIC: true, NodeNIC: true, "lo": true}
	for i := range further {
		s := &further[i]
		if s.Interface == "" {
			s.Interface = fmt.Sprintf("net%d", i+1)
		}
		if seen[s.Interface] {
			return fmt.Errorf("interface %s is there twice or is the pod's own", s.Interface)
		}
		seen[s.Interface] = true
	}
	return nil
}

// choose marks the interface of the default route.
func choose(all []Selection, nic string) error {
	if nic != "" {
		i := slices.IndexFunc(all, func(s Selection) bool { return s.Interface == nic })
		if i < 0 && nic != FirstNIC {
			return wrong(DefaultNICAnnotation, fmt.Errorf("the pod has no interface %s", nic))
		}
		for j := range all {
			all[j].DefaultRoute = i == j
		}
		return nil
	}
	marked := 0
	for i := range all {
		if all[i].DefaultRoute {
			marked++
		}
	}
	if marked > 1 {
		return wrong(FurtherAnnotation, fmt.Errorf("%d networks have a default-route", marked))
	}
	return nil
}

// list reads either form: JSON, or names with commas between.
func list(text, namespace string) ([]Selection, error) {
	var elements []element
	if strings.ContainsAny(text, `[{"`) {
		d := json.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&elements); err != nil {
			return nil, err
		}
		if d.More() {
			return nil, fmt.Errorf("something follows the JSON value")
		}
	} else {
		for part := range strings.SplitSeq(text, ",") {
			e, err := short(strings.TrimSpace(part))
			if err != nil {
				return nil, err
			}
			elements = append(elements, e)
		}
	}
	out := make([]Selection, 0, len(elements))
	for i := range elements {
		s, err := elements[i].selection(namespace)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// short reads [NAMESPACE/]NAME[@INTERFACE].
func short(text string) (element, error) {
	var e element
	rest, nic, with := strings.Cut(text, "@")
	if with && nic == "" {
		return e, fmt.Errorf("%q names no interface behind the @", text)
	}
	namespace, name, both := strings.Cut(rest, "/")
	if !both {
		namespace, name = "", rest
	} else if namespace == "" {
		return e, fmt.Errorf("%q names no namespace before the /", text)
	}
	return element{Name: name, Namespace: namespace, Interface: nic}, nil
}

func (e *element) selection(namespace string) (Selection, error) {
	s := Selection{Network: types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, Interface: e.Interface, DefaultRoute: len(e.DefaultRoute) > 0}
	if s.Network.Namespace == "" {
		s.Network.Namespace = namespace
	}
	for _, problem := range append(validation.IsDNS1123Subdomain(s.Network.Name), validation.IsDNS1123Label(s.Network.Namespace)...) {
		return s, fmt.Errorf("%q does not name a network: %s", s.Network, problem)
	}
	if len(s.Interface) > maxName || strings.ContainsAny(s.Interface, "/: \t\n") || s.Interface == "." || s.Interface == ".." {
		return s, fmt.Errorf("%q does not name an interface", s.Interface)
	}
	for _, text := range e.IPs {
		addr, err := parseAddr(text)
		if err != nil {
			return s, fmt.Errorf("network %s: %w", s.Network, err)
		}
		if slices.ContainsFunc(s.Addrs, func(a netip.Addr) bool { return a.Is4() == addr.Is4() }) {
			return s, fmt.Errorf("network %s: ips has two addresses of one family", s.Network)
		}
		s.Addrs = append(s.Addrs, addr)
	}
	for _, text := range e.DefaultRoute {
		if _, err := netip.ParseAddr(text); err != nil {
			return s, fmt.Errorf("network %s: default-route: %w", s.Network, err)
		}
	}
	if e.MAC != "" {
		if !hardware.MatchString(e.MAC) {
			return s, fmt.Errorf("network %s: mac %q is not the hardware address of one interface", s.Network, e.MAC)
		}
		s.MAC = strings.ToLower(e.MAC)
	}
	return s, nil
}

// hardware is an address of one interface: the lowest bit of the first byte is 0.
var hardware = regexp.MustCompile(`^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$`)

// parseAddr reads an address, with a prefix length or without.
func parseAddr(text string) (netip.Addr, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err
}
