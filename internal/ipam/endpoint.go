package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/attachment"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// OwnerUID is the annotation of an endpoint that tells a StatefulSet from a
// later one of the same name.
const OwnerUID = "berth.dev/owner-uid"

// RetainedSince is the annotation of an endpoint that says since when nobody
// needs its addresses.
const RetainedSince = "berth.dev/retained-since"

const statefulSet = "StatefulSet"

// setOf is the StatefulSet that controls a pod, with the pod's ordinal.
func setOf(pod *corev1.Pod) address.Set {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != statefulSet || owner.APIVersion != appsv1.SchemeGroupVersion.String() {
		return address.Set{}
	}
	return newSet(owner.Name, owner.UID, pod.Name)
}

func newSet(name string, uid types.UID, pod string) address.Set {
	ordinal, ok := strings.CutPrefix(pod, name+"-")
	if !ok {
		return address.Set{}
	}
	n, err := strconv.Atoi(ordinal)
	if err != nil || n < 0 {
		return address.Set{}
	}
	return address.Set{Name: name, UID: uid, Ordinal: n}
}

// recordOf reads an endpoint. Addresses that cannot be read are left out: the
// pod gets others when it is re-created.
func recordOf(e *spiderpoolv2beta1.SpiderEndpoint) address.Record {
	current := &e.Status.Current
	rec := address.Record{
		Pod:  types.NamespacedName{Namespace: e.Namespace, Name: e.Name},
		UID:  types.UID(current.UID),
		Node: current.Node,
	}
	if e.Status.OwnerControllerType == statefulSet {
		rec.Set = newSet(e.Status.OwnerControllerName, types.UID(e.Annotations[OwnerUID]), e.Name)
	}
	rec.Retention, _ = address.ParseRetention(e.Annotations[address.RetentionAnnotation])
	for _, ip := range current.IPs {
		for _, one := range []struct{ cidr, pool string }{{ip.IPv4, ip.IPv4Pool}, {ip.IPv6, ip.IPv6Pool}} {
			if prefix, err := netip.ParsePrefix(one.cidr); err == nil {
				rec.Held = append(rec.Held, address.Held{NIC: ip.NIC, Addr: prefix.Addr(), Pool: one.pool})
			}
		}
	}
	return rec
}

// fill makes e say what rec says.
func (r *reconciler) fill(e *spiderpoolv2beta1.SpiderEndpoint, pod *corev1.Pod, rec address.Record) {
	e.Namespace, e.Name = rec.Pod.Namespace, rec.Pod.Name
	before := e.Status.Current
	if before.UID != string(rec.UID) {
		delete(e.Annotations, attachment.ResolvedAnnotation)
	}
	e.Status = spiderpoolv2beta1.WorkloadEndpointStatus{
		Current: spiderpoolv2beta1.PodIPAllocation{
			UID: string(rec.UID), Node: rec.Node, IPs: r.details(rec.Held),
		},
		OwnerControllerType: "Pod",
		OwnerControllerName: pod.Name,
	}
	delete(e.Annotations, OwnerUID)
	delete(e.Annotations, RetainedSince)
	delete(e.Annotations, address.RetentionAnnotation)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		e.Status.OwnerControllerType, e.Status.OwnerControllerName = owner.Kind, owner.Name
	}
	if rec.Set.Name != "" {
		metav1.SetMetaDataAnnotation(&e.ObjectMeta, OwnerUID, string(rec.Set.UID))
	}
	if text := rec.Retention.String(); text != "" {
		metav1.SetMetaDataAnnotation(&e.ObjectMeta, address.RetentionAnnotation, text)
	}
	r.describe(e, &before)
	r.routes(e, pod)
}

// details groups addresses by interface.
func (r *reconciler) details(held []address.Held) []spiderpoolv2beta1.IPAllocationDetail {
	var out []spiderpoolv2beta1.IPAllocationDetail
	for _, h := range held {
		i := slices.IndexFunc(out, func(d spiderpoolv2beta1.IPAllocationDetail) bool { return d.NIC == h.NIC })
		if i < 0 {
			i = len(out)
			out = append(out, spiderpoolv2beta1.IPAllocationDetail{NIC: h.NIC, Vlan: ptr.To[int64](0), CleanGateway: ptr.To(false)})
		}
		bits, gateway := h.Addr.BitLen(), ""
		if p, ok := r.ledger.Pool(h.Pool); ok {
			bits = p.Subnet.Bits()
			if p.Gateway.IsValid() {
				gateway = p.Gateway.String()
			}
		}
		cidr := fmt.Sprintf("%s/%d", h.Addr, bits)
		if h.Family() == address.IPv4 {
			out[i].IPv4, out[i].IPv4Pool, out[i].IPv4Gateway = cidr, h.Pool, gateway
		} else {
			out[i].IPv6, out[i].IPv6Pool, out[i].IPv6Gateway = cidr, h.Pool, gateway
		}
	}
	return out
}
