package endpoint

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// MirrorController is the value of the managed-by label on slices that mirror
// Endpoints which somebody wrote.
const MirrorController = "endpointslicemirroring-controller.k8s.io"

// leader marks Endpoints that were a lock.
const leader = "control-plane.alpha.kubernetes.io/leader"

// Mirrored reports whether the Endpoints of this Service are to be mirrored: the
// Service has no selector, so somebody else writes them, for others to read.
func Mirrored(service *corev1.Service, e *corev1.Endpoints) bool {
	if service == nil || e == nil || service.Spec.Selector != nil || e.Labels[discoveryv1.LabelSkipMirror] == "true" {
		return false
	}
	_, lock := e.Annotations[leader]
	return !lock
}

// Warning is an event about Endpoints.
type Warning struct{ Reason, Message string }

// Mirror says which slices to write, given those that mirror the Endpoints now: a
// slice for each family of each of its subsets.
func Mirror(e *corev1.Endpoints, have []*discoveryv1.EndpointSlice) (Plan, []Warning) {
	byGroup, names := map[string][]*discoveryv1.EndpointSlice{}, map[string]bool{}
	for _, slice := range have {
		if slice.DeletionTimestamp == nil {
			key := groupKey(slice.AddressType, slice.Ports)
			byGroup[key], names[slice.Name] = append(byGroup[key], slice), true
		}
	}
	wanted, warnings := mirrorOf(e)
	var plan Plan
	for _, want := range wanted {
		key := groupKey(want.AddressType, want.Ports)
		slices.SortFunc(byGroup[key], byName)
		if len(byGroup[key]) == 0 {
			want.Name = mirrorName(e, key, names)
			plan.Create = append(plan.Create, want)
			continue
		}
		first := byGroup[key][0]
		if !slices.EqualFunc(first.Endpoints, want.Endpoints, same) || !maps.Equal(first.Labels, want.Labels) || !maps.Equal(first.Annotations, want.Annotations) {
			next := first.DeepCopy()
			next.Endpoints, next.Labels, next.Annotations = want.Endpoints, want.Labels, want.Annotations
			plan.Update = append(plan.Update, next)
		}
		byGroup[key] = byGroup[key][1:]
	}
	for _, rest := range byGroup {
		plan.Delete = append(plan.Delete, rest...)
	}
	slices.SortFunc(plan.Delete, byName)
	return plan, warnings
}

// mirrorOf are the slices, without names.
func mirrorOf(e *corev1.Endpoints) ([]*discoveryv1.EndpointSlice, []Warning) {
	var out []*discoveryv1.EndpointSlice
	invalid, skipped := 0, 0
	for _, subset := range repacked(e.Subsets) {
		families := map[discoveryv1.AddressType][]discoveryv1.Endpoint{}
		added := 0
		add := func(addresses []corev1.EndpointAddress, ready bool) {
			for i := range addresses {
				a := &addresses[i]
				ip, err := netip.ParseAddr(a.IP)
				switch {
				case added >= Capacity:
					skipped++
					continue
				case err != nil:
					invalid++
					continue
				}
				family := discoveryv1.AddressTypeIPv4
				if ip = ip.Unmap(); ip.Is6() {
					family = discoveryv1.AddressTypeIPv6
				}
				endpoint := discoveryv1.Endpoint{
					Addresses: []string{ip.String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready)},
					TargetRef: a.TargetRef, NodeName: a.NodeName,
				}
				if a.Hostname != "" {
					endpoint.Hostname = ptr.To(a.Hostname)
				}
				families[family] = append(families[family], endpoint)
				added++
			}
		}
		add(subset.Addresses, true)
		add(subset.NotReadyAddresses, false)
		for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			if len(families[family]) > 0 {
				out = append(out, mirrorSlice(e, family, subset.Ports, families[family]))
			}
		}
	}
	var warnings []Warning
	if invalid > 0 {
		warnings = append(warnings, Warning{"InvalidIPAddress", fmt.Sprintf("Skipped %d invalid IP addresses when mirroring to EndpointSlices", invalid)})
	}
	if skipped > 0 {
		warnings = append(warnings, Warning{"TooManyAddressesToMirror", fmt.Sprintf(
			"A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped", Capacity, skipped+invalid)})
	}
	return out, warnings
}

func mirrorSlice(e *corev1.Endpoints, family discoveryv1.AddressType, ports []corev1.EndpointPort, endpoints []discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, GenerateName: prefix(e.Name), Labels: map[string]string{}, Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: family, Endpoints: endpoints, Ports: []discoveryv1.EndpointPort{},
	}
	maps.Copy(slice.Labels, e.Labels)
	slice.Labels[discoveryv1.LabelServiceName], slice.Labels[discoveryv1.LabelManagedBy] = e.Name, MirrorController
	maps.Copy(slice.Annotations, e.Annotations)
	delete(slice.Annotations, corev1.EndpointsLastChangeTriggerTime)
	delete(slice.Annotations, corev1.LastAppliedConfigAnnotation)
	for i := range ports {
		p := ports[i].DeepCopy()
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
	}
	return slice
}

// mirrorName looks like a generated one and is the same on every try.
func mirrorName(e *corev1.Endpoints, group string, taken map[string]bool) string {
	for i := 0; ; i++ {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s/%s/%d", e.UID, group, i)
		if name := prefix(e.Name) + suffix(h.Sum64()); !taken[name] {
			taken[name] = true
			return name
		}
	}
}
