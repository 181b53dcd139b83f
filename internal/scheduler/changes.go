package scheduler

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/volume"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/schedule"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// picture leads the changes of the cluster to the scheduler that runs now.
type picture struct{ now atomic.Pointer[scheduler] }

func (p *picture) show(s *scheduler) { p.now.Store(s) }

func (p *picture) watches() []loop.Watch {
	watches := []loop.Watch{
		{Kind: &corev1.Pod{}, Map: p.to((*scheduler).onPod)},
		{Kind: &corev1.Node{}, Map: p.to((*scheduler).onNode)},
		{Kind: &corev1.Namespace{}, Map: p.to((*scheduler).onNamespace)},
	}
	for _, kind := range []client.Object{
		&corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}, &storagev1.StorageClass{},
		&storagev1.CSINode{}, &storagev1.CSIDriver{}, &storagev1.CSIStorageCapacity{}, &storagev1.VolumeAttachment{},
	} {
		watches = append(watches, loop.Watch{Kind: kind, Map: p.to((*scheduler).onOther)})
	}
	watches = append(watches, loop.Watch{Kind: &spiderpoolv2beta1.SpiderIPPool{}, Map: p.to((*scheduler).onAddressPool)})
	// These are only read.
	for _, kind := range []client.Object{
		&corev1.Service{}, &corev1.ReplicationController{}, &appsv1.ReplicaSet{}, &appsv1.StatefulSet{}, &policyv1.PodDisruptionBudget{},
	} {
		watches = append(watches, loop.Watch{Kind: kind})
	}
	return watches
}

// to takes a change into the picture and returns requests for the pods that
// became ready by it.
func (p *picture) to(do func(*scheduler, loop.Event) []*corev1.Pod) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
		s := p.now.Load()
		if s == nil {
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		var out []reconcile.Request
		for _, pod := range do(s, ev) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
		}
		return out
	}
}

func (s *scheduler) onPod(ev loop.Event) []*corev1.Pod {
	old, _ := ev.Old.(*corev1.Pod)
	pod, _ := ev.New.(*corev1.Pod)
	if pod == nil {
		woken := s.podGone(old)
		return append(woken, s.wake(old, nil)...)
	}
	more := s.podIs(old, pod)
	return append(s.wake(asAny(old), pod), more...)
}

func asAny(pod *corev1.Pod) any {
	if pod == nil {
		return nil
	}
	return pod
}

func (s *scheduler) podGone(pod *corev1.Pod) []*corev1.Pod {
	delete(s.seen, pod.UID)
	return s.leave(pod)
}

// leave drops a pod that waits no longer and has no node, with the room that it
// was given or waited for; it returns the pods that this helps.
func (s *scheduler) leave(pod *corev1.Pod) []*corev1.Pod {
	s.queue.forget(pod.UID)
	s.cluster.RemovePod(pod)
	var woken []*corev1.Pod
	if a := s.assumed[pod.UID]; a != nil {
		delete(s.assumed, pod.UID)
		woken = s.wake(a.pod, nil)
	}
	return append(woken, s.nominate(pod, "")...)
}

// nominate notes which node a pod waits for, and returns those whom it helps
// that another one is no longer waited for.
func (s *scheduler) nominate(pod *corev1.Pod, node string) []*corev1.Pod {
	was := s.cluster.Nominated(pod)
	s.cluster.Nominate(pod, node)
	if was == "" || was == node {
		return nil
	}
	gone := *pod // its maps are shared, and never changed
	gone.Spec.NodeName = was
	return s.wake(&gone, nil)
}

// podIs takes a pod as it is now into the picture, and returns those that have
// to be decided then.
func (s *scheduler) podIs(old, pod *corev1.Pod) []*corev1.Pod {
	version := loop.Version(pod.ResourceVersion)
	if known, ok := s.seen[pod.UID]; ok && version <= known {
		return nil
	}
	s.seen[pod.UID] = version
	if pod.Spec.NodeName != "" || !schedule.Active(pod) {
		var woken []*corev1.Pod
		if a := s.assumed[pod.UID]; a != nil && a.pod.Spec.NodeName != pod.Spec.NodeName {
			woken = s.wake(a.pod, nil) // somebody else found another one for it
		}
		delete(s.assumed, pod.UID)
		s.queue.forget(pod.UID)
		s.cluster.SetPod(pod)
		if s.cluster.Nominated(pod) == pod.Spec.NodeName {
			s.cluster.Nominate(pod, "")
		}
		return append(woken, s.nominate(pod, "")...)
	}
	a := s.assumed[pod.UID]
	if a != nil && a.binding { // the cache does not know yet
		if w := s.queue.all[pod.UID]; w != nil {
			w.pod = pod
		}
		return nil
	}
	if !s.mine(pod) {
		return s.leave(pod)
	}
	if node := pod.Status.NominatedNodeName; node != "" && s.queue.all[pod.UID] == nil {
		s.cluster.Nominate(pod, node) // from before a restart
	}
	if w := s.queue.all[pod.UID]; w != nil && old != nil && !worthAnotherTry(old, pod) {
		w.pod = pod
		return nil
	}
	s.queue.add(pod)
	return []*corev1.Pod{pod}
}

// worthAnotherTry leaves out the echo of our own condition.
func worthAnotherTry(old, pod *corev1.Pod) bool {
	return !equality.Semantic.DeepEqual(old.Spec, pod.Spec) || !equality.Semantic.DeepEqual(old.Labels, pod.Labels)
}

func (s *scheduler) onNode(ev loop.Event) []*corev1.Pod {
	node, _ := ev.New.(*corev1.Node)
	old, _ := ev.Old.(*corev1.Node)
	switch {
	case node == nil:
		s.cluster.RemoveNode(old.Name)
		return s.wake(old, nil)
	case old == nil:
		s.cluster.SetNode(node)
		return s.wake(nil, node)
	}
	s.cluster.SetNode(node)
	if !roomChanged(old, node) {
		return nil
	}
	return s.wake(old, node)
}

// roomChanged leaves out heartbeats.
func roomChanged(old, node *corev1.Node) bool {
	return !equality.Semantic.DeepEqual(old.Status.Allocatable, node.Status.Allocatable) ||
		!equality.Semantic.DeepEqual(old.Labels, node.Labels) ||
		!equality.Semantic.DeepEqual(old.Spec, node.Spec)
}

func (s *scheduler) onNamespace(ev loop.Event) []*corev1.Pod {
	if ev.New == nil {
		s.cluster.RemoveNamespace(ev.Old.GetName())
		return nil
	}
	ns := ev.New.(*corev1.Namespace)
	s.cluster.SetNamespace(ns)
	if ev.Old != nil && equality.Semantic.DeepEqual(ev.Old.GetLabels(), ns.Labels) &&
		equality.Semantic.DeepEqual(ev.Old.GetAnnotations(), ns.Annotations) {
		return nil
	}
	return s.wake(nil, ns)
}

func (s *scheduler) onOther(ev loop.Event) []*corev1.Pod {
	var old, changed any
	if ev.Old != nil {
		old = ev.Old
	}
	if ev.New != nil {
		changed = ev.New
	}
	return s.wake(old, changed)
}

// wake makes the pods ready that a change may help. It returns no more of them
// than can be served at once, for each request serves all that are ready.
func (s *scheduler) wake(old, changed any) []*corev1.Pod {
	if len(s.queue.all) == 0 {
		return nil
	}
	now := s.env.Clock.Now()
	self, _ := changed.(*corev1.Pod)
	if gone, ok := old.(*corev1.Pod); ok && changed == nil {
		self = gone
	}
	var helped []*waiting
	for uid, w := range s.queue.concerned(old, changed) {
		failed := w.failed
		switch w.state {
		case deciding: // what it is decided by was read before
			failed = ^schedule.Filters(0)
		case resting, writing:
		case ready, backing:
			continue
		}
		if (self == nil || self.UID != uid) && !s.stillBeingMade(w, changed) && s.cluster.Helps(w.pod, failed, old, changed) {
			helped = append(helped, w)
		}
	}
	slices.SortFunc(helped, func(a, b *waiting) int { return cmp.Compare(a.order, b.order) })
	var woken []*corev1.Pod
	for _, w := range helped {
		if s.queue.wake(w, now) && len(woken) < workers {
			woken = append(woken, w.pod)
		}
	}
	return woken
}

// stillBeingMade says that a pod has its node for the time being, and that one of
// its claims has changed without being there yet: there will be another change.
func (s *scheduler) stillBeingMade(w *waiting, changed any) bool {
	a := s.assumed[w.pod.UID]
	if a == nil || a.binding {
		return false
	}
	switch o := changed.(type) {
	case *corev1.PersistentVolumeClaim:
		return !schedule.Bound(o) && o.DeletionTimestamp == nil && o.Annotations[volume.AnnSelectedNode] == a.pod.Spec.NodeName
	case *corev1.PersistentVolume:
		return o.DeletionTimestamp == nil && o.Spec.ClaimRef != nil && slices.Contains(claimsOf(w.pod), types.NamespacedName{Namespace: o.Spec.ClaimRef.Namespace, Name: o.Spec.ClaimRef.Name})
	}
	return false
}
