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
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var pdbGVK = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")

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
