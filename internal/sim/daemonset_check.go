package sim

import (
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/daemonset"
	"berth.dev/berth/internal/plan/podready"
)

var (
	daemonSetGVK = appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	revisionGVK  = appsv1.SchemeGroupVersion.WithKind("ControllerRevision")
	nodeGVK      = corev1.SchemeGroupVersion.WithKind("Node")
)

// guardDaemons checks a write of the DaemonSet loop at the moment it is made: no
// node gets a second pod, but for one during a surge, and none that may have
// none; and by what the cache shows, a pod that serves is taken away only as far
// as the rollout's bounds allow.
func (s *Sim) guardDaemons(verb string, obj client.Object) error {
	pod, ok := obj.(*corev1.Pod)
	if !ok || verb != "create" && verb != "delete" {
		return nil
	}
	if verb == "delete" {
		cached, _ := s.views[podGVK].objects[client.ObjectKeyFromObject(pod)].(*corev1.Pod)
		if cached == nil || cached.UID != pod.UID || cached.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s is deleted without being in the cache, or twice", pod.Name)
		}
		pod = cached
	}
	set := s.daemonSetInCache(metav1.GetControllerOfNoCopy(pod))
	if set == nil || set.DeletionTimestamp != nil {
		return errors.New("a pod is made or deleted for no set")
	}
	if verb == "create" {
		return s.guardNewDaemon(set, plan.NodeOf(pod))
	}
	return s.guardOldDaemon(set, pod)
}

func (s *Sim) guardNewDaemon(set *appsv1.DaemonSet, node string) error {
	cached, _ := s.views[nodeGVK].objects[types.NamespacedName{Name: node}].(*corev1.Node)
	if run, _ := plan.PlacementOf(set).Admits(cached); !run {
		return fmt.Errorf("%s is not to have a pod and gets one", node)
	}
	surge, _ := daemonBounds(set, 1)
	beside := 0
	for _, p := range s.pods() {
		if metav1.IsControlledBy(p, set) && plan.NodeOf(p) == node && !ended(p) && (p.DeletionTimestamp == nil || surge == 0) {
			beside++
		}
	}
	if beside > min(surge, 1) {
		return fmt.Errorf("%s has %d pods and gets another one", node, beside)
	}
	return nil
}

func (s *Sim) guardOldDaemon(set *appsv1.DaemonSet, pod *corev1.Pod) error {
	place, own := plan.PlacementOf(set), plan.NodeOf(pod)
	serves := func(p *corev1.Pod) bool {
		ok, _ := podready.Available(p, set.Spec.MinReadySeconds, s.clock.Now())
		return ok && !ended(p)
	}
	if !serves(pod) || s.deleted[client.ObjectKeyFromObject(pod)] == pod.UID {
		return nil // nothing is lost with it, or it is lost already and was not told so
	}
	others := map[string][]*corev1.Pod{}
	for _, p := range active(s.cachedPods(), set.UID) {
		if p.UID != pod.UID && s.deleted[client.ObjectKeyFromObject(p)] != p.UID {
			others[plan.NodeOf(p)] = append(others[plan.NodeOf(p)], p)
		}
	}
	wanted, without, here := 0, 0, false
	for _, obj := range s.views[nodeGVK].objects {
		if run, _ := place.Admits(obj.(*corev1.Node)); !run {
			continue
		}
		here = here || obj.GetName() == own
		wanted++
		if !slices.ContainsFunc(others[obj.GetName()], serves) {
			without++
		}
	}
	surge, unavailable := daemonBounds(set, wanted)
	switch {
	case !here:
	case surge > 0 && !slices.ContainsFunc(others[own], serves):
		return fmt.Errorf("pod %s is deleted before another one serves on %s", pod.Name, own)
	case surge == 0 && len(others[own]) == 0 && without > unavailable:
		return fmt.Errorf("pod %s is deleted: %d of %d nodes have none that serves then, allowed are %d", pod.Name, without, wanted, unavailable)
	}
	return nil
}

func daemonBounds(set *appsv1.DaemonSet, nodes int) (surge, unavailable int) {
	r := set.Spec.UpdateStrategy.RollingUpdate
	if r == nil || set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType {
		return 0, 0
	}
	if r.MaxSurge != nil {
		surge, _ = intstr.GetScaledValueFromIntOrPercent(r.MaxSurge, nodes, true)
	}
	if r.MaxUnavailable != nil {
		unavailable, _ = intstr.GetScaledValueFromIntOrPercent(r.MaxUnavailable, nodes, true)
	}
	return surge, unavailable
}

func (s *Sim) daemonSetInCache(ref *metav1.OwnerReference) *appsv1.DaemonSet {
	if ref == nil {
		return nil
	}
	for _, obj := range s.views[daemonSetGVK].objects {
		if obj.GetUID() == ref.UID {
			return obj.(*appsv1.DaemonSet)
		}
	}
	return nil
}

// convergedDaemons reports every way in which a DaemonSet is not what its spec
// and the nodes ask for.
func (s *Sim) convergedDaemons(set *appsv1.DaemonSet) error {
	var errs []error
	place, revisions, newest := plan.PlacementOf(set), 0, &appsv1.ControllerRevision{}
	for _, obj := range sorted(s.store.kind(revisionGVK).objects) {
		if rev := obj.(*appsv1.ControllerRevision); metav1.IsControlledBy(rev, set) {
			if revisions++; rev.Revision > newest.Revision {
				newest = rev
			}
		}
	}
	if limit := int(*set.Spec.RevisionHistoryLimit); revisions == 0 || revisions > limit+1 {
		errs = append(errs, fmt.Errorf("%d revisions, the limit is %d", revisions, limit))
	}
	wanted, have := int32(0), map[string]int{}
	for _, pod := range active(s.pods(), set.UID) {
		have[pod.Spec.NodeName]++
		if pod.Labels[plan.HashLabel] != newest.Labels[plan.HashLabel] {
			errs = append(errs, fmt.Errorf("pod %s is of revision %s, not %s", pod.Name, pod.Labels[plan.HashLabel], newest.Name))
		}
	}
	for _, obj := range sorted(s.store.kind(nodeGVK).objects) {
		run, stay := place.Admits(obj.(*corev1.Node))
		n := have[obj.GetName()]
		delete(have, obj.GetName())
		if run {
			wanted++
		}
		if run && n != 1 || !run && !stay && n > 0 || n > 1 {
			errs = append(errs, fmt.Errorf("%s has %d pods, is to have one: %t, may have one: %t", obj.GetName(), n, run, stay))
		}
	}
	if len(have) > 0 {
		errs = append(errs, fmt.Errorf("pods on nodes that do not exist: %v", have))
	}
	st := set.Status
	if st.DesiredNumberScheduled != wanted || st.CurrentNumberScheduled != wanted || st.NumberReady != wanted || st.NumberAvailable != wanted ||
		st.NumberUnavailable != 0 || st.UpdatedNumberScheduled != wanted || st.ObservedGeneration != set.Generation {
		errs = append(errs, fmt.Errorf("%d nodes of generation %d are to have a pod, the status says %+v", wanted, set.Generation, st))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the DaemonSet %s: %w", set.Name, err)
	}
	return nil
}
