package sim

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var pdbGVK = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")

// disruptionMoves are those of a toy disruption controller: it keeps the status
// of PodDisruptionBudgets, some time after the fact.
func (s *Sim) disruptionMoves() []move {
	var moves []move
	for _, obj := range sorted(s.store.kind(pdbGVK).objects) {
		old := obj.(*policyv1.PodDisruptionBudget)
		next := s.counted(old)
		if next.Status.DisruptionsAllowed == old.Status.DisruptionsAllowed && next.Status.CurrentHealthy == old.Status.CurrentHealthy &&
			next.Status.ObservedGeneration == old.Status.ObservedGeneration && len(next.Status.DisruptedPods) == len(old.Status.DisruptedPods) {
			continue
		}
		moves = append(moves, move{2, func() {
			s.log("toy disruption: %s allows %d", next.Name, next.Status.DisruptionsAllowed)
			s.store.put(pdbGVK, old, next)
		}})
	}
	return moves
}

// counted is the budget with what its status should say.
func (s *Sim) counted(old *policyv1.PodDisruptionBudget) *policyv1.PodDisruptionBudget {
	next := old.DeepCopy()
	st := &next.Status
	st.ObservedGeneration, st.CurrentHealthy, st.ExpectedPods = next.Generation, 0, 0
	going := map[string]metav1.Time{}
	for _, pod := range s.protectedBy(next) {
		st.ExpectedPods++
		if at, disrupted := st.DisruptedPods[pod.Name]; disrupted && pod.DeletionTimestamp == nil && at.Add(seconds(120)).After(s.clock.Now()) {
			going[pod.Name] = at
			continue
		}
		if healthy(pod) {
			st.CurrentHealthy++
		}
	}
	st.DisruptedPods = going
	if next.Spec.MinAvailable != nil {
		n, _ := intstr.GetScaledValueFromIntOrPercent(next.Spec.MinAvailable, int(st.ExpectedPods), true)
		st.DesiredHealthy = int32(n)
	}
	st.DisruptionsAllowed = max(st.CurrentHealthy-st.DesiredHealthy, 0)
	return next
}

func (s *Sim) protectedBy(pdb *policyv1.PodDisruptionBudget) []*corev1.Pod {
	selector, _ := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
	var pods []*corev1.Pod
	for _, pod := range s.pods() {
		if pod.Namespace == pdb.Namespace && selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// evict is what the pods/eviction subresource does.
func (s *store) evict(sim *Sim, gvk schema.GroupVersionKind, key client.ObjectKey, uid *types.UID) error {
	obj, err := s.get(gvk, key)
	if err != nil {
		return err
	}
	pod := obj.(*corev1.Pod)
	free := pod.DeletionTimestamp != nil || ended(pod) || pod.Status.Phase == corev1.PodPending
	for _, o := range sorted(s.kind(pdbGVK).objects) {
		pdb := o.(*policyv1.PodDisruptionBudget)
		selector, _ := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		st := pdb.Status
		if free || pdb.Namespace != key.Namespace || !selector.Matches(labels.Set(pod.Labels)) ||
			!isReady(pod) && st.CurrentHealthy >= st.DesiredHealthy && st.DesiredHealthy > 0 {
			continue
		}
		if st.ObservedGeneration < pdb.Generation || st.DisruptionsAllowed <= 0 {
			return apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		}
		if uid != nil && *uid != pod.UID {
			return apierrors.NewConflict(resource(gvk), key.Name, fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s)", *uid, pod.UID))
		}
		next := pdb.DeepCopy()
		next.Status.DisruptionsAllowed--
		if next.Status.DisruptedPods == nil {
			next.Status.DisruptedPods = map[string]metav1.Time{}
		}
		next.Status.DisruptedPods[pod.Name] = metav1.NewTime(s.clock.Now())
		s.put(pdbGVK, pdb, next)
	}
	sim.log("toy api: evicts %s", key.Name)
	return s.delete(gvk, key, &client.DeleteOptions{Preconditions: &metav1.Preconditions{UID: uid}, GracePeriodSeconds: ptr.To(int64(30))})
}
