// Package ipam gives every pod its address. It is the only writer of
// SpiderEndpoints: it keeps the ledger of plan/address, built from them at the
// start, grants as soon as a pod's node is known, so that the write is under
// way while the node prepares the sandbox, and releases what no pod and no
// StatefulSet wants any more. A grant is entered in the ledger before it is
// written and leaves it after the object is deleted, so a crash at any moment
// neither loses an address nor gives one away twice.
package ipam

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/staticpod"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// User is the loop's identity.
const User = "system:serviceaccount:kube-system:ipam-controller"

// Config says what the cluster's own pools are.
type Config struct {
	// ClusterCIDRs are the pods' ranges, at most one of each family; they
	// become the pools default-ipv4 and default-ipv6.
	ClusterCIDRs []netip.Prefix
	// Stateless gives pods of StatefulSets whatever address is free, as the pods
	// of any other workload.
	Stateless bool
}

// Loop returns the address loop. One worker: the ledger has one writer.
//
// Its keys: "" / pool name for a pool, "" / anew for another try of the pods that
// wait, "" / reserved for the reserved addresses, namespace / pod name for a pod, and
// namespace / "pod name/uid" for a pod of which the last event said that none
// of its containers runs any more.
func Loop(config Config) (loop.Loop, error) {
	builtin, err := builtinPools(config.ClusterCIDRs)
	if err != nil {
		return loop.Loop{}, err
	}
	return loop.Loop{
		Name:    "ipam",
		User:    User,
		Workers: 1,
		Watches: []loop.Watch{
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &spiderpoolv2beta1.SpiderEndpoint{}, Map: onEndpoint},
			{Kind: &spiderpoolv2beta1.SpiderIPPool{}, Map: onPool},
			{Kind: &appsv1.StatefulSet{}, Map: onSet},
			{Kind: &corev1.Namespace{}, Map: onNamespace},
			{Kind: &corev1.Node{}, Map: onNode},
			{Kind: &spiderpoolv2beta1.SpiderReservedIP{}, Map: onReserved},
			{Kind: &cniv1.NetworkAttachmentDefinition{}, Map: onNetwork},
			{Kind: &spiderpoolv2beta1.SpiderCoordinator{}},
			// Whose pod it is in the end.
			{Kind: &appsv1.ReplicaSet{}},
			{Kind: &batchv1.Job{}},
		},
		New: func(env loop.Env) reconcile.Reconciler {
			r := newReconciler(env, builtin)
			r.stateless = config.Stateless
			return r
		},
	}, nil
}

func key(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// onPod wakes for what changes a grant: a node, an owner, the end.
func onPod(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		pod := ev.Old.(*corev1.Pod)
		if mightRun(pod) {
			return []reconcile.Request{key(pod.Namespace, pod.Name)}
		}
		return []reconcile.Request{key(pod.Namespace, endedKey(pod.Name, staticpod.Identity(pod)))}
	}
	pod := ev.New.(*corev1.Pod)
	if pod.Spec.NodeName == "" {
		return nil
	}
	if ev.Old != nil {
		old := ev.Old.(*corev1.Pod)
		if staticpod.Identity(old) == staticpod.Identity(pod) && old.Spec.NodeName == pod.Spec.NodeName && setOf(old) == setOf(pod) &&
			maps.Equal(old.Annotations, pod.Annotations) {
			return nil
		}
	}
	return []reconcile.Request{key(pod.Namespace, pod.Name)}
}

// mightRun reports whether a container ran when the pod was last seen. A node
// reports the end of all containers before it lets go of a pod, so this holds
// for pods that were deleted by force.
func mightRun(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" || finished(pod) {
		return false
	}
	if staticpod.IsMirror(pod) {
		return true // who deletes a mirror does not end its pod
	}
	known := false
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			known = true
			if list[i].State.Running != nil {
				return true
			}
		}
	}
	return !known && pod.Status.Phase == corev1.PodRunning
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// endedKey is the key name of a pod that has ended; no pod's name has a slash.
func endedKey(pod string, uid types.UID) string { return pod + "/" + string(uid) }

func splitKey(name string) (pod string, ended types.UID) {
	pod, uid, _ := strings.Cut(name, "/")
	return pod, types.UID(uid)
}

// onEndpoint wakes the pod and, when the addresses or their holder changed,
// the pools.
func onEndpoint(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	o := ev.Object()
	out := []reconcile.Request{key(o.GetNamespace(), o.GetName())}
	seen := map[string]bool{}
	add := func(obj client.Object) {
		if obj == nil {
			return
		}
		for _, ip := range obj.(*spiderpoolv2beta1.SpiderEndpoint).Status.Current.IPs {
			for _, pool := range []string{ip.IPv4Pool, ip.IPv6Pool} {
				if pool != "" && !seen[pool] {
					seen[pool] = true
					out = append(out, key("", pool))
				}
			}
		}
	}
	add(ev.Old)
	add(ev.New)
	return out
}

// onPool wakes for what concerns grants; the status is our own.
func onPool(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.Old != nil && ev.New != nil {
		old, pool := ev.Old.(*spiderpoolv2beta1.SpiderIPPool), ev.New.(*spiderpoolv2beta1.SpiderIPPool)
		if old.UID == pool.UID && equality.Semantic.DeepEqual(old.Spec, pool.Spec) && old.DeletionTimestamp.Equal(pool.DeletionTimestamp) {
			return nil
		}
	}
	return []reconcile.Request{key("", ev.Object().GetName())}
}

// onSet wakes the ordinals that the set wanted before and wants no more, and all
// that hold an address for it when it says anew what becomes of those.
func onSet(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.Old == nil {
		return nil
	}
	old := ev.Old.(*appsv1.StatefulSet)
	if out := onRetention(ctx, read, old, ev.New); out != nil {
		return out
	}
	was, is := stateOf(old), (*address.SetState)(nil)
	if ev.New != nil {
		is = stateOf(ev.New.(*appsv1.StatefulSet))
	}
	if is != nil && *is == *was {
		return nil
	}
	var out []reconcile.Request
	for i := was.Start; i < was.Start+was.Replicas; i++ {
		if is == nil || is.Deleting || is.UID != was.UID || i < is.Start || i >= is.Start+is.Replicas {
			out = append(out, key(old.Namespace, fmt.Sprintf("%s-%d", old.Name, i)))
		}
	}
	return out
}

func onRetention(ctx context.Context, read client.Reader, old *appsv1.StatefulSet, now client.Object) []reconcile.Request {
	text := func(o client.Object) string { return o.GetAnnotations()[address.RetentionAnnotation] }
	if now == nil && text(old) == "" || now != nil && text(old) == text(now) && old.UID == now.GetUID() {
		return nil
	}
	endpoints := &spiderpoolv2beta1.SpiderEndpointList{}
	if err := read.List(ctx, endpoints, client.InNamespace(old.Namespace)); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range endpoints.Items {
		e := &endpoints.Items[i]
		if e.Status.OwnerControllerType == statefulSet && e.Status.OwnerControllerName == old.Name {
			out = append(out, key(e.Namespace, e.Name))
		}
	}
	return out
}

func stateOf(set *appsv1.StatefulSet) *address.SetState {
	s := &address.SetState{UID: set.UID, Deleting: set.DeletionTimestamp != nil, Replicas: 1, Retention: retentionOf(set)}
	if set.Spec.Replicas != nil {
		s.Replicas = int(*set.Spec.Replicas)
	}
	if set.Spec.Ordinals != nil {
		s.Start = int(set.Spec.Ordinals.Start)
	}
	return s
}

// The keys without a namespace that are no pool's; no object's name has a slash.
const (
	anew     = "/anew"
	reserved = "/reserved"
)

// onNode and onReserved wake the pods that wait when what counts has changed.
func onNode(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.Old == nil || ev.New != nil && maps.Equal(ev.Old.GetLabels(), ev.New.GetLabels()) &&
		slices.Equal(ev.Old.(*corev1.Node).Status.Addresses, ev.New.(*corev1.Node).Status.Addresses) {
		return nil
	}
	return []reconcile.Request{key("", anew)}
}

// onNetwork wakes the pods that wait for a network.
func onNetwork(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil
	}
	return []reconcile.Request{key("", anew)}
}

func onReserved(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return []reconcile.Request{key("", reserved)}
}

// onNamespace wakes the loop once in an empty cluster, to make the built-in
// pools, and when a namespace says something else about pools.
func onNamespace(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	switch {
	case ev.New == nil:
		return nil
	case ev.Old == nil && ev.New.GetName() != metav1.NamespaceDefault:
		return nil
	case ev.Old != nil && maps.Equal(ev.Old.GetLabels(), ev.New.GetLabels()) && maps.Equal(ev.Old.GetAnnotations(), ev.New.GetAnnotations()):
		return nil
	case ev.Old != nil:
		return []reconcile.Request{key("", anew)}
	}
	return []reconcile.Request{key("", defaultIPv4), key("", defaultIPv6)}
}
