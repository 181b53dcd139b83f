package ipam

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/attachment"
	"berth.dev/berth/internal/plan/autopool"
	"berth.dev/berth/internal/plan/staticpod"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// ask is what a pod asks the ledger for. The error is for the user: an
// annotation that cannot be read.
func (r *reconciler) ask(ctx context.Context, pod *corev1.Pod, key types.NamespacedName) (address.Ask, error) {
	ask := address.Ask{Pod: key, UID: staticpod.Identity(pod), Node: pod.Spec.NodeName, Set: r.setOf(pod)}
	if rec, ok := r.ledger.Record(key); ok && rec.UID == ask.UID && len(rec.Held) > 0 {
		ask.Retention = r.retention(ctx, pod, ask.Set)
		return ask, nil // it has its addresses, whatever the annotations say meanwhile
	}
	namespace := &corev1.Namespace{}
	if err := r.env.Cache.Get(ctx, types.NamespacedName{Name: pod.Namespace}, namespace); err != nil && !apierrors.IsNotFound(err) {
		return ask, err
	}
	if _, err := address.Routes(pod.Annotations); err != nil {
		return ask, &malformed{err}
	}
	given, index, err := r.given(ctx, pod, ask.Set)
	if err != nil {
		return ask, &malformed{err}
	}
	who, err := r.asker(ctx, pod, namespace)
	if err != nil {
		return ask, err
	}
	nics, err := r.interfaces(ctx, pod)
	if err != nil {
		return ask, err
	}
	ask.Retention = r.retention(ctx, pod, ask.Set)
	if ask.Wants, err = r.allWants(ctx, pod, namespace, who, nics); err != nil {
		return ask, err
	}
	r.resolve(key, pod, nics)
	if given != nil {
		for i := range ask.Wants {
			want := &ask.Wants[i]
			if want.NIC != nic || want.Addr.IsValid() {
				continue
			}
			if a, ok := given.For(pod.Name, index, want.Family); ok {
				want.Addr = a
			} else {
				want.Avoid = append(want.Avoid, given.All(want.Family)...)
			}
		}
	}
	return ask, nil
}

// malformed is a mistake in what the user wrote.
type malformed struct{ error }

func (r *reconciler) asker(ctx context.Context, pod *corev1.Pod, namespace *corev1.Namespace) (address.Asker, error) {
	node := &corev1.Node{}
	if err := r.env.Cache.Get(ctx, types.NamespacedName{Name: pod.Spec.NodeName}, node); err != nil && !apierrors.IsNotFound(err) {
		return address.Asker{}, err
	}
	labels := pod.Labels
	if r.byApp {
		app, err := r.app(ctx, pod)
		if err != nil {
			return address.Asker{}, err
		}
		labels = maps.Clone(labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, autopool.PodLabels(app))
	}
	return address.Asker{
		PodLabels: labels, Namespace: pod.Namespace, NamespaceLabels: namespace.Labels,
		Node: pod.Spec.NodeName, NodeLabels: node.Labels,
	}, nil
}

// set is the StatefulSet of a pod as the cache has it, if it does.
func (r *reconciler) set(ctx context.Context, namespace string, of address.Set) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{}
	if of.Name == "" || r.env.Cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: of.Name}, set) != nil || set.UID != of.UID {
		return nil
	}
	return set
}

// given are the addresses that a pod's annotation, or its set's, names, and the
// pod's place among the pods of its set.
func (r *reconciler) given(ctx context.Context, pod *corev1.Pod, of address.Set) (*address.Given, int, error) {
	set := r.set(ctx, pod.Namespace, of)
	text, ok := pod.Annotations[address.AddressesAnnotation]
	if !ok && set != nil {
		text, ok = set.Annotations[address.AddressesAnnotation]
	}
	if !ok {
		return nil, 0, nil
	}
	given, err := address.ParseGiven(text)
	index := -1
	if set != nil {
		index = of.Ordinal - stateOf(set).Start
	}
	return &given, index, err
}

// retention is what a pod's set says. While that cannot be read all is kept.
func (r *reconciler) retention(ctx context.Context, pod *corev1.Pod, of address.Set) address.Retention {
	set := r.set(ctx, pod.Namespace, of)
	if set == nil {
		if rec, ok := r.ledger.Record(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}); ok && rec.Set == of {
			return rec.Retention
		}
		return address.Retention{}
	}
	return retentionOf(set)
}

func retentionOf(set *appsv1.StatefulSet) address.Retention {
	retention, err := address.ParseRetention(set.Annotations[address.RetentionAnnotation])
	if err != nil {
		return address.Retention{WhenScaled: true, WhenDeleted: true}
	}
	return retention
}

// setOf is the StatefulSet of a pod, none where sets are like any other workload.
func (r *reconciler) setOf(pod *corev1.Pod) address.Set {
	if r.stateless {
		return address.Set{}
	}
	return setOf(pod)
}

// routes notes the routes of a pod's pools and those of its own annotation, each
// at the interface that its gateway is near, or else at the first.
func (r *reconciler) routes(e *spiderpoolv2beta1.SpiderEndpoint, pod *corev1.Pod) {
	ips := e.Status.Current.IPs
	for i := range ips {
		ips[i].Routes = nil
		for _, pool := range []string{ips[i].IPv4Pool, ips[i].IPv6Pool} {
			if p := r.specs[pool]; p != nil {
				ips[i].Routes = append(ips[i].Routes, p.Spec.Routes...)
			}
		}
	}
	own, err := address.Routes(pod.Annotations)
	if err != nil || len(ips) == 0 {
		return
	}
	for _, route := range own {
		at := 0
		for i := range ips {
			gw, err := netip.ParseAddr(route.Gw)
			near := func(p netip.Prefix) bool { return p.Contains(gw) }
			if err == nil && slices.ContainsFunc(attachment.Prefixes(&ips[i]), near) {
				at = i
				break
			}
		}
		ips[at].Routes = append(ips[at].Routes, route)
	}
}
