package sim

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// ours remembers, per pod name, the pod that a loop deleted last: an order that
// is broken by a loop's own hand cannot be blamed on a cache that lags.
type ours map[types.NamespacedName]types.UID

// guard checks a write to a pod of a workload at the moment it is made.
// What the world did behind the loop's back is forgiven, what the loop's cache
// showed or the loop did itself is not.
func (s *Sim) guard(loopName, verb string, obj client.Object) error {
	switch loopName {
	case "replicaset":
		return s.guardReplicas(verb, obj)
	case "deployment":
		return s.guardRollout(verb, obj)
	case "daemonset":
		return s.guardDaemons(verb, obj)
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok || loopName != "statefulset" {
		return nil
	}
	name, ordinal, ok := plan.ParseName(pod.Name)
	held := s.views[setGVK]
	if !ok || held == nil {
		return nil
	}
	set, ok := held.objects[types.NamespacedName{Namespace: pod.Namespace, Name: name}].(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	switch verb {
	case "create":
		if err := s.guardMix(set, pod); err != nil {
			return err
		}
		return s.guardCreate(set, ordinal)
	case "delete":
		if asked, _ := options.Parse(set.Annotations); asked.RespectPDB && set.DeletionTimestamp == nil &&
			slices.Contains(wantedBy(set), ordinal) && s.servesInCache(set, ordinal) {
			return fmt.Errorf("pod %d works and is deleted without asking its budgets", ordinal)
		}
		return s.guardDelete(set, ordinal, pod)
	case "update":
		return s.guardPatch(set, ordinal, pod)
	case "evict":
		return s.guardDelete(set, ordinal, pod)
	}
	return nil
}

// slot is what the cache and the store hold of an ordinal.
func (s *Sim) slot(set *appsv1.StatefulSet, ordinal int) (cached, stored *corev1.Pod) {
	key := nameIn(set, plan.PodName(set.Name, ordinal))
	cached, _ = s.views[podGVK].objects[key].(*corev1.Pod)
	stored, _ = s.store.kind(podGVK).objects[key].(*corev1.Pod)
	return cached, stored
}

// guardMix: a set that is replaced as a whole gets no pod beside one of another
// revision that its cache shows or that the loop itself has just deleted.
func (s *Sim) guardMix(set *appsv1.StatefulSet, pod *corev1.Pod) error {
	if set.Spec.UpdateStrategy.Type != appsv1.RecreateStatefulSetStrategyType {
		return nil
	}
	for key, object := range s.views[podGVK].objects {
		other, ok := object.(*corev1.Pod)
		if ok && metav1.IsControlledBy(other, set) && plan.RevisionOf(set.Name, other) != plan.RevisionOf(set.Name, pod) && s.store.kind(podGVK).objects[key] != nil {
			return fmt.Errorf("pod %s of revision %s is made beside %s of %s", pod.Name, plan.RevisionOf(set.Name, pod), other.Name, plan.RevisionOf(set.Name, other))
		}
	}
	return nil
}

func (s *Sim) guardCreate(set *appsv1.StatefulSet, ordinal int) error {
	wanted := wantedBy(set)
	if !slices.Contains(wanted, ordinal) {
		return fmt.Errorf("pod %d is created, wanted are %v", ordinal, wanted)
	}
	for i := range set.Spec.VolumeClaimTemplates {
		key := nameIn(set, plan.ClaimName(set.Spec.VolumeClaimTemplates[i].Name, set.Name, ordinal))
		if s.store.kind(claimGVK).objects[key] == nil && s.views[claimGVK].objects[key] == nil {
			return fmt.Errorf("pod %d is created without claim %s", ordinal, key.Name)
		}
	}
	if set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		return nil
	}
	if readyBefore(set, ordinal) {
		return nil
	}
	// A budget above one lets as many pods of an ordered set come up at once.
	var waiting []int
	for _, o := range wanted {
		if o >= ordinal {
			break
		}
		if cached, _ := s.slot(set, o); !healthy(cached) || s.takenByLoop(set, o) {
			waiting = append(waiting, o)
		}
	}
	if limit := maxUnavailable(set); len(waiting) >= limit {
		return fmt.Errorf("pod %d is created while %v are not ready or deleted by the loop itself, maxUnavailable is %d", ordinal, waiting, limit)
	}
	return nil
}

func (s *Sim) guardDelete(set *appsv1.StatefulSet, ordinal int, pod *corev1.Pod) error {
	wanted := wantedBy(set)
	cached, _ := s.slot(set, ordinal)
	switch {
	case cached == nil || cached.UID != pod.UID:
		return fmt.Errorf("pod %d is deleted without being in the cache", ordinal)
	case cached.DeletionTimestamp != nil:
		return fmt.Errorf("pod %d is deleted though it is terminating", ordinal)
	case set.DeletionTimestamp != nil:
		return s.guardTeardown(set, ordinal)
	case set.Spec.UpdateStrategy.Type == appsv1.RecreateStatefulSetStrategyType: // all at once
		return nil
	case set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement, ended(cached), neverReady(cached):
		return nil
	case slices.Contains(wanted, ordinal):
		if err := s.guardTurn(set, wanted, cached); err != nil {
			return err
		}
		return s.guardBudget(set, wanted, ordinal)
	}
	for _, other := range s.podsOf(set) {
		if _, o, _ := plan.ParseName(other.Name); !slices.Contains(wanted, o) && o > ordinal && s.takenByLoop(set, o) {
			return fmt.Errorf("surplus pod %d is deleted before %d is gone", ordinal, o)
		}
	}
	return nil
}

// guardPatch: an update in place keeps to the order and the budget like a delete,
// and is of the very pod that the cache shows.
func (s *Sim) guardPatch(set *appsv1.StatefulSet, ordinal int, pod *corev1.Pod) error {
	wanted := wantedBy(set)
	cached, _ := s.slot(set, ordinal)
	revision := func(p *corev1.Pod) string { return p.Labels[appsv1.ControllerRevisionHashLabelKey] }
	if cached == nil || cached.UID != pod.UID {
		return fmt.Errorf("pod %d is written without being in the cache", ordinal)
	}
	if revision(cached) == revision(pod) || !healthy(cached) || set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		return nil
	}
	away := 1
	for _, o := range wanted {
		if _, stored := s.slot(set, o); o != ordinal && (s.takenByLoop(set, o) || stored != nil && restarting(stored)) {
			away++
		}
	}
	if limit := maxUnavailable(set); away > limit {
		return fmt.Errorf("pod %d is updated in place as number %d, maxUnavailable is %d", ordinal, away, limit)
	}
	return s.guardTurn(set, wanted, cached)
}

func (s *Sim) servesInCache(set *appsv1.StatefulSet, ordinal int) bool {
	cached, _ := s.slot(set, ordinal)
	return healthy(cached)
}

// readyBefore reports whether the ordinal may come back without waiting for others.
func readyBefore(set *appsv1.StatefulSet, ordinal int) bool {
	asked, _ := options.Parse(set.Annotations)
	for _, c := range set.Status.Conditions {
		if c.Type == plan.ConditionReadyBefore && asked.RecoverTogether {
			before, _ := options.ParseOrdinals(c.Message)
			return before.Has(ordinal)
		}
	}
	return false
}

// guardTeardown: a set that is being deleted stops pods only when it was asked
// to, and the highest first.
func (s *Sim) guardTeardown(set *appsv1.StatefulSet, ordinal int) error {
	if !slices.Contains(set.Finalizers, options.TeardownFinalizer) || slices.Contains(set.Finalizers, metav1.FinalizerOrphanDependents) {
		return fmt.Errorf("pod %d of a set that is being deleted is stopped by the loop", ordinal)
	}
	for _, other := range s.podsOf(set) {
		if _, o, _ := plan.ParseName(other.Name); o > ordinal {
			return fmt.Errorf("pod %d is stopped before %d is gone", ordinal, o)
		}
	}
	return nil
}

// guardTurn: a pod of a later turn is not taken for an update while one of an
// earlier turn is of its revision too.
func (s *Sim) guardTurn(set *appsv1.StatefulSet, wanted []int, pod *corev1.Pod) error {
	asked, _ := options.Parse(set.Annotations)
	revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	if pod.Labels[options.ReplaceLabel] != "" || asked.Order.Label == "" || set.Spec.UpdateStrategy.RollingUpdate == nil {
		return nil
	}
	for _, o := range wanted[min(int(ptr.Deref(set.Spec.UpdateStrategy.RollingUpdate.Partition, 0)), len(wanted)):] {
		other, _ := s.slot(set, o)
		if other != nil && other.Labels[appsv1.ControllerRevisionHashLabelKey] == revision && asked.Order.Turn(other.Labels) < asked.Order.Turn(pod.Labels) {
			return fmt.Errorf("%s is taken before %s, whose turn comes first", pod.Name, other.Name)
		}
	}
	return nil
}

// guardBudget: counting this one, no more than maxUnavailable wanted pods are
// away by the loop's own hand.
func (s *Sim) guardBudget(set *appsv1.StatefulSet, wanted []int, ordinal int) error {
	away := 1
	for _, o := range wanted {
		if _, stored := s.slot(set, o); o != ordinal && (s.takenByLoop(set, o) || stored != nil && restarting(stored)) {
			away++
		}
	}
	if limit := maxUnavailable(set); away > limit {
		return fmt.Errorf("pod %d is deleted as number %d, maxUnavailable is %d", ordinal, away, limit)
	}
	return nil
}

// takenByLoop reports whether the loop has deleted the ordinal's last pod and no
// new one is there.
func (s *Sim) takenByLoop(set *appsv1.StatefulSet, ordinal int) bool {
	key := nameIn(set, plan.PodName(set.Name, ordinal))
	uid, deleted := s.deleted[key]
	if !deleted {
		return false
	}
	_, stored := s.slot(set, ordinal)
	return stored == nil && s.lastPod(key) == uid || stored != nil && stored.UID == uid && stored.DeletionTimestamp != nil
}

// lastPod is the UID of the newest pod that ever had this name.
func (s *Sim) lastPod(key types.NamespacedName) types.UID {
	log := s.store.kind(podGVK).log
	for i := len(log) - 1; i >= 0; i-- {
		obj := log[i].new
		if obj == nil {
			obj = log[i].old
		}
		if client.ObjectKeyFromObject(obj) == key {
			return obj.GetUID()
		}
	}
	return ""
}

// wantedBy are the ordinals that the set wants, lowest first.
func wantedBy(set *appsv1.StatefulSet) []int {
	asked, _ := options.Parse(set.Annotations)
	ordinal := 0
	if set.Spec.Ordinals != nil {
		ordinal = int(set.Spec.Ordinals.Start)
	}
	wanted := make([]int, 0, ptr.Deref(set.Spec.Replicas, 1))
	for ; len(wanted) < cap(wanted); ordinal++ {
		if !asked.Reserved.Has(ordinal) {
			wanted = append(wanted, ordinal)
		}
	}
	return wanted
}

func maxUnavailable(set *appsv1.StatefulSet) int {
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || rolling.MaxUnavailable == nil {
		return 1
	}
	n, _ := intstr.GetScaledValueFromIntOrPercent(rolling.MaxUnavailable, int(ptr.Deref(set.Spec.Replicas, 1)), false)
	return max(n, 1)
}

func healthy(pod *corev1.Pod) bool {
	return pod != nil && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning && isReady(pod)
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// neverReady: a pod that does not serve costs nothing to delete.
func neverReady(pod *corev1.Pod) bool { return !isReady(pod) }
