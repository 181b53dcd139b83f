package endpoint

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Decide says which slices to create, update and delete.
func Decide(s State) Plan {
	d := &decision{state: s, labels: labels(s.Service), names: map[string]bool{}}
	byGroup := map[string][]*discoveryv1.EndpointSlice{}
	for _, slice := range s.Slices {
		if slice.DeletionTimestamp != nil {
			continue
		}
		d.names[slice.Name] = true
		key := groupKey(slice.AddressType, slice.Ports)
		byGroup[key] = append(byGroup[key], slice)
	}
	for _, g := range s.groups() {
		key := groupKey(g.family, g.ports)
		d.fill(g, byGroup[key])
		delete(byGroup, key)
	}
	for _, rest := range byGroup {
		d.plan.Delete = append(d.plan.Delete, rest...)
	}
	slices.SortFunc(d.plan.Delete, byName)
	d.recycle()
	return d.plan
}

// recycle turns a create and a delete of one family into one update: one write
// less, and no moment without a slice.
func (d *decision) recycle() {
	var create []*discoveryv1.EndpointSlice
	for _, fresh := range d.plan.Create {
		i := slices.IndexFunc(d.plan.Delete, func(old *discoveryv1.EndpointSlice) bool {
			return old.AddressType == fresh.AddressType && metav1.IsControlledBy(old, d.state.Service)
		})
		if i < 0 {
			create = append(create, fresh)
			continue
		}
		next := d.plan.Delete[i].DeepCopy()
		next.Labels, next.Ports, next.Endpoints = fresh.Labels, fresh.Ports, fresh.Endpoints
		d.plan.Update = append(d.plan.Update, next)
		d.plan.Delete = slices.Delete(d.plan.Delete, i, i+1)
	}
	d.plan.Create = create
}

type decision struct {
	state  State
	labels map[string]string
	names  map[string]bool
	plan   Plan
}

// fill puts the endpoints of one group into its slices.
func (d *decision) fill(g *group, have []*discoveryv1.EndpointSlice) {
	slices.SortFunc(have, byName)
	wanted := map[types.UID]discoveryv1.Endpoint{}
	for _, e := range g.endpoints {
		wanted[e.TargetRef.UID] = e
	}
	kept := make([][]discoveryv1.Endpoint, len(have))
	for i, slice := range have {
		for _, e := range slice.Endpoints {
			if e.TargetRef == nil {
				continue
			}
			if w, ok := wanted[e.TargetRef.UID]; ok {
				kept[i] = append(kept[i], w)
				delete(wanted, e.TargetRef.UID)
			}
		}
	}
	var fresh []discoveryv1.Endpoint
	for _, e := range g.endpoints {
		if _, ok := wanted[e.TargetRef.UID]; ok {
			fresh = append(fresh, e)
		}
	}
	// Slices that change anyway take new endpoints first.
	var order, unchanged []int
	for i := range have {
		if len(fresh) > 0 && !d.changed(have[i], kept[i]) {
			unchanged = append(unchanged, i)
		} else {
			order = append(order, i)
		}
	}
	order = append(order, unchanged...)
	for _, i := range order {
		n := min(max(MaxPerSlice-len(kept[i]), 0), len(fresh))
		kept[i], fresh = append(kept[i], fresh[:n]...), fresh[n:]
	}
	left := len(g.endpoints) > 0
	for i, slice := range have {
		if len(kept[i]) == 0 && (left || i > 0) {
			d.plan.Delete = append(d.plan.Delete, slice)
			continue
		}
		d.update(slice, kept[i])
	}
	for len(fresh) > 0 || (len(have) == 0 && !left) {
		n := min(MaxPerSlice, len(fresh))
		d.create(g, fresh[:n])
		if fresh = fresh[n:]; len(fresh) == 0 {
			return
		}
	}
}

func (d *decision) changed(slice *discoveryv1.EndpointSlice, endpoints []discoveryv1.Endpoint) bool {
	return !slices.EqualFunc(slice.Endpoints, endpoints, same) || !maps.Equal(slice.Labels, d.labels)
}

func (d *decision) update(slice *discoveryv1.EndpointSlice, endpoints []discoveryv1.Endpoint) {
	if !d.changed(slice, endpoints) {
		return
	}
	next := slice.DeepCopy()
	next.Labels, next.Endpoints = d.labels, endpoints
	if next.Endpoints == nil {
		next.Endpoints = []discoveryv1.Endpoint{}
	}
	d.plan.Update = append(d.plan.Update, next)
}

func (d *decision) create(g *group, endpoints []discoveryv1.Endpoint) {
	service := d.state.Service
	d.plan.Create = append(d.plan.Create, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       service.Namespace,
			Name:            d.name(g),
			GenerateName:    prefix(service.Name),
			Labels:          d.labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(service, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: g.family,
		Ports:       g.ports,
		Endpoints:   slices.Clone(endpoints),
	})
}

// name looks like a generated one and is the same on every try.
func (d *decision) name(g *group) string {
	for i := 0; ; i++ {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s/%s/%d", d.state.Service.UID, groupKey(g.family, g.ports), i)
		name := prefix(d.state.Service.Name) + suffix(h.Sum64())
		if !d.names[name] {
			d.names[name] = true
			return name
		}
	}
}

// suffix spells a number in the letters of generated names: no vowels, so no words.
func suffix(n uint64) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	var out [8]byte
	for i := range out {
		out[i] = letters[n%uint64(len(letters))]
		n /= uint64(len(letters))
	}
	return string(out[:])
}

// prefix is the Service's name and a dash, short enough for the rest of the name.
func prefix(name string) string {
	const longest = 253 - 9
	return name[:min(len(name), longest)] + "-"
}

// labels are the Service's own with those that say whose slice it is.
func labels(service *corev1.Service) map[string]string {
	out := map[string]string{}
	for k, v := range service.Labels {
		out[k] = v
	}
	delete(out, corev1.IsHeadlessService)
	if service.Spec.ClusterIP == corev1.ClusterIPNone || service.Spec.ClusterIP == "" {
		out[corev1.IsHeadlessService] = ""
	}
	out[discoveryv1.LabelServiceName] = service.Name
	out[discoveryv1.LabelManagedBy] = Controller
	return out
}

func groupKey(family discoveryv1.AddressType, ports []discoveryv1.EndpointPort) string {
	sorted := slices.Clone(ports)
	slices.SortFunc(sorted, func(a, b discoveryv1.EndpointPort) int { return strings.Compare(portKey(a), portKey(b)) })
	return string(family) + portsKey(sorted)
}

func byName(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) }
