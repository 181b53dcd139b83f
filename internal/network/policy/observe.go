package policy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/plan/netpolicy"
)

// what is watched.
type what int

const (
	aPolicy what = iota
	aSpace
	aPod
)

// dirty are the keys of what has to be looked at again.
type dirty [aPod + 1]map[string]struct{}

func clean() (d dirty) {
	for i := range d {
		d[i] = map[string]struct{}{}
	}
	return d
}

func (e *Enforcer) touches(w what) cache.ResourceEventHandler {
	touch := func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			e.touch(w, key)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: touch, UpdateFunc: func(_, obj any) { touch(obj) }, DeleteFunc: touch}
}

func (e *Enforcer) touch(w what, key string) {
	e.mu.Lock()
	e.dirty[w][key] = struct{}{}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// observe reads what was touched, and names the attached pods that are known by now.
func (e *Enforcer) observe() (netpolicy.Update, map[types.NamespacedName]types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := netpolicy.Update{Pods: map[string]*netpolicy.Pod{}, Policies: map[string]*networkingv1.NetworkPolicy{}, Namespaces: map[string]labels.Set{}}
	for key := range e.dirty[aPolicy] {
		u.Policies[key], _ = get[*networkingv1.NetworkPolicy](e.policies, key)
	}
	for key := range e.dirty[aSpace] {
		u.Namespaces[key] = nil
		if ns, ok := get[*corev1.Namespace](e.spaces, key); ok {
			u.Namespaces[key] = ns.Labels
		}
	}
	covered := map[types.NamespacedName]types.UID{}
	if e.pods == nil {
		e.dirty[aPolicy], e.dirty[aSpace] = map[string]struct{}{}, map[string]struct{}{}
		return u, covered // pods are looked at once they are watched
	}
	for key := range e.dirty[aPod] {
		u.Pods[key] = nil
		if pod, ok := get[*corev1.Pod](e.pods, key); ok {
			u.Pods[key] = e.pod(pod)
		}
	}
	for name := range e.attached {
		if pod, ok := get[*corev1.Pod](e.pods, name.String()); ok {
			covered[name] = pod.UID
		}
	}
	e.dirty = clean()
	return u, covered
}

func get[T any](from cache.SharedIndexInformer, key string) (t T, ok bool) {
	if obj, exists, err := from.GetStore().GetByKey(key); err == nil && exists {
		t, ok = obj.(T)
	}
	return t, ok
}

// pod is what policies see of a pod; nil when it is none of their business. One
// that is being attached has the addresses that it gets.
func (e *Enforcer) pod(pod *corev1.Pod) *netpolicy.Pod {
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	now, attaching := e.attached[name]
	if attaching = attaching && (now.uid == pod.UID || now.uid == ""); attaching {
		now.decided = true
		e.attached[name] = now
	}
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	p := &netpolicy.Pod{Namespace: pod.Namespace, Labels: pod.Labels, Local: pod.Spec.NodeName == e.cfg.NodeName}
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil {
			p.Addresses = append(p.Addresses, a)
		}
	}
	if attaching {
		p.Addresses = now.addresses
	}
	for i := range pod.Spec.Containers {
		p.Ports = append(p.Ports, pod.Spec.Containers[i].Ports...)
	}
	return p
}

// strip keeps of a pod what policies ask for.
func strip(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	small := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: pod.Labels},
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork},
		Status:     corev1.PodStatus{Phase: pod.Status.Phase, PodIPs: pod.Status.PodIPs},
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.Name != "" {
					small.Spec.Containers = append(small.Spec.Containers, corev1.Container{Ports: []corev1.ContainerPort{p}})
				}
			}
		}
	}
	return small, nil
}
