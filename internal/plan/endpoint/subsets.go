package endpoint

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/dump"
	"k8s.io/utils/ptr"
)

// Capacity is how many addresses an Endpoints object holds at most.
const Capacity = 1000

// offer is one address that answers on a port, or that will.
type offer struct {
	address corev1.EndpointAddress
	ready   bool
}

// subsets are what the Service's pods offer, in upstream's layout: ports that the
// same addresses answer on are together, and all is in an order that does not
// depend on anything else.
func (s State) subsets() []corev1.EndpointSubset {
	family := families(s.Service)[0]
	all := byPort{}
	for _, pod := range s.Pods {
		if !Counts(pod) || pod.DeletionTimestamp != nil && !publishesNotReady(s.Service) {
			continue
		}
		found := addresses(pod, family)
		if len(found) == 0 {
			continue
		}
		o := offer{address: s.address(pod, found[0]), ready: publishesNotReady(s.Service) || Ready(pod)}
		for _, port := range s.legacyPorts(pod) {
			all.add(port, o)
		}
	}
	return all.packed()
}

// byPort is who offers each port.
type byPort map[string]*onPort

type onPort struct {
	port   corev1.EndpointPort
	offers []offer
}

func (all byPort) add(port corev1.EndpointPort, offers ...offer) {
	key := fmt.Sprintf("%s/%d/%s/%s", port.Name, port.Port, port.Protocol, ptr.Deref(port.AppProtocol, ""))
	if all[key] == nil {
		all[key] = &onPort{port: port}
	}
	all[key].offers = append(all[key].offers, offers...)
}

// packed puts ports together that the same addresses answer on.
func (all byPort) packed() []corev1.EndpointSubset {
	type group struct {
		offers []offer
		ports  []corev1.EndpointPort
	}
	groups := map[string]*group{}
	for _, on := range all {
		offers := sorted(on.offers)
		key := keyOf(offers)
		if groups[key] == nil {
			groups[key] = &group{offers: offers}
		}
		if on.port.Port != noPort.Port {
			groups[key].ports = append(groups[key].ports, on.port)
		}
	}
	out := []corev1.EndpointSubset{}
	for _, g := range groups {
		subset := corev1.EndpointSubset{Ports: byHash(g.ports)}
		for _, o := range g.offers {
			if o.ready {
				subset.Addresses = append(subset.Addresses, o.address)
			} else {
				subset.NotReadyAddresses = append(subset.NotReadyAddresses, o.address)
			}
		}
		out = append(out, subset)
	}
	return byHash(out)
}

// repacked are subsets that somebody wrote in upstream's layout.
func repacked(subsets []corev1.EndpointSubset) []corev1.EndpointSubset {
	all := byPort{}
	for i := range subsets {
		var offers []offer
		for _, a := range subsets[i].Addresses {
			offers = append(offers, offer{a, true})
		}
		for _, a := range subsets[i].NotReadyAddresses {
			offers = append(offers, offer{a, false})
		}
		ports := subsets[i].Ports
		if len(ports) == 0 {
			ports = []corev1.EndpointPort{noPort}
		}
		for _, port := range ports {
			all.add(port, offers...)
		}
	}
	return all.packed()
}

func (s State) address(pod *corev1.Pod, ip string) corev1.EndpointAddress {
	a := corev1.EndpointAddress{
		IP: ip, NodeName: &pod.Spec.NodeName,
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == s.Service.Name {
		a.Hostname = pod.Spec.Hostname
	}
	return a
}

// noPort stands for a headless Service without ports.
var noPort = corev1.EndpointPort{Port: -1}

func (s State) legacyPorts(pod *corev1.Pod) []corev1.EndpointPort {
	if len(s.Service.Spec.Ports) == 0 && s.Service.Spec.ClusterIP == corev1.ClusterIPNone {
		return []corev1.EndpointPort{noPort}
	}
	var out []corev1.EndpointPort
	for i := range s.Service.Spec.Ports {
		p := &s.Service.Spec.Ports[i]
		if number, ok := targetPort(pod, p); ok {
			out = append(out, corev1.EndpointPort{Name: p.Name, Port: number, Protocol: p.Protocol, AppProtocol: p.AppProtocol})
		}
	}
	return out
}

// sorted are the offers by address, each address of a pod once; one that is not
// ready anywhere is not ready.
func sorted(offers []offer) []offer {
	offers = slices.Clone(offers)
	slices.SortStableFunc(offers, func(a, b offer) int {
		ready := 0
		if a.ready != b.ready {
			if ready = -1; a.ready {
				ready = 1
			}
		}
		return cmp.Or(strings.Compare(a.address.IP, b.address.IP), cmp.Compare(a.uid(), b.uid()), ready)
	})
	return slices.CompactFunc(offers, func(a, b offer) bool { return a.address.IP == b.address.IP && a.uid() == b.uid() })
}

func (o offer) uid() types.UID {
	if o.address.TargetRef == nil {
		return ""
	}
	return o.address.TargetRef.UID
}

func keyOf(offers []offer) string {
	var b strings.Builder
	for _, o := range offers {
		fmt.Fprintf(&b, "%s/%s/%t ", o.address.IP, o.uid(), o.ready)
	}
	return b.String()
}

// byHash is upstream's order of things that have no other.
func byHash[T any](all []T) []T {
	if len(all) < 2 {
		return all
	}
	type hashed struct {
		item T
		sum  []byte
	}
	keyed := make([]hashed, len(all))
	for i, item := range all {
		h := fnv.New128a()
		fmt.Fprintf(h, "%v", dump.ForHash(item))
		keyed[i] = hashed{item, h.Sum(nil)}
	}
	slices.SortFunc(keyed, func(a, b hashed) int { return bytes.Compare(a.sum, b.sum) })
	for i := range keyed {
		all[i] = keyed[i].item
	}
	return all
}

// truncated cuts the subsets to the capacity, each in proportion, addresses that
// are not ready first; cut says that there were more.
func truncated(subsets []corev1.EndpointSubset) (out []corev1.EndpointSubset, cut bool) {
	ready, unready := 0, 0
	for i := range subsets {
		ready, unready = ready+len(subsets[i].Addresses), unready+len(subsets[i].NotReadyAddresses)
	}
	if ready+unready <= Capacity {
		return subsets, false
	}
	room, of := Capacity-ready, unready
	if ready > Capacity {
		room, of = Capacity, ready
	}
	left := room
	share := func(all []corev1.EndpointAddress) []corev1.EndpointAddress {
		n := min(int(math.Ceil(float64(len(all))/float64(of)*float64(room))), left, len(all))
		left -= n
		return all[:n]
	}
	out = slices.Clone(subsets)
	for i := range out {
		if ready > Capacity {
			out[i].Addresses, out[i].NotReadyAddresses = share(out[i].Addresses), nil
		} else {
			out[i].NotReadyAddresses = share(out[i].NotReadyAddresses)
		}
	}
	return out, true
}
