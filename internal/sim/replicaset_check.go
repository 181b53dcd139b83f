package sim

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var replicaSetGVK = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// guardReplicas checks a write of the ReplicaSet loop at the moment it is made:
// it makes no pod too many and deletes none too many, whatever its cache shows.
func (s *Sim) guardReplicas(verb string, obj client.Object) error {
	pod, ok := obj.(*corev1.Pod)
	if !ok || s.views[replicaSetGVK] == nil {
		return nil
	}
	switch verb {
	case "create":
		set := s.setInCache(metav1.GetControllerOfNoCopy(pod))
		if set == nil || set.DeletionTimestamp != nil {
			return errors.New("a pod is made for no set")
		}
		if n := len(active(s.pods(), set.UID)); n >= int(*set.Spec.Replicas)+s.lost {
			return fmt.Errorf("set %s wants %d pods, has %d and makes another one", set.Name, *set.Spec.Replicas, n)
		}
	case "delete":
		cached, _ := s.views[podGVK].objects[client.ObjectKeyFromObject(pod)].(*corev1.Pod)
		if cached == nil || cached.UID != pod.UID || cached.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s is deleted without being in the cache, or twice", pod.Name)
		}
		if s.deleted[client.ObjectKeyFromObject(pod)] == pod.UID {
			return nil // once more, as the answer was lost: it is the same pod
		}
		set := s.setInCache(metav1.GetControllerOfNoCopy(cached))
		if set == nil || set.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s is deleted for no set", pod.Name)
		}
		n := 0
		for _, p := range active(s.cachedPods(), set.UID) {
			if s.deleted[client.ObjectKeyFromObject(p)] != p.UID {
				n++
			}
		}
		if n <= int(*set.Spec.Replicas) {
			return fmt.Errorf("set %s wants %d pods, has %d and deletes %s", set.Name, *set.Spec.Replicas, n, pod.Name)
		}
	}
	return nil
}

// setInCache is the ReplicaSet that ref means, as the loops see it.
func (s *Sim) setInCache(ref *metav1.OwnerReference) *appsv1.ReplicaSet {
	if ref == nil {
		return nil
	}
	for _, obj := range s.views[replicaSetGVK].objects {
		if obj.GetUID() == ref.UID {
			return obj.(*appsv1.ReplicaSet)
		}
	}
	return nil
}

func (s *Sim) cachedPods() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, obj := range sorted(s.views[podGVK].objects) {
		pods = append(pods, obj.(*corev1.Pod))
	}
	return pods
}

// active are the pods of an owner that count as replicas.
func active(pods []*corev1.Pod, owner types.UID) []*corev1.Pod {
	var all []*corev1.Pod
	for _, pod := range pods {
		ref := metav1.GetControllerOfNoCopy(pod)
		if ref != nil && ref.UID == owner && pod.DeletionTimestamp == nil && !ended(pod) {
			all = append(all, pod)
		}
	}
	return all
}

// convergedReplicas reports every way in which a ReplicaSet is not what its spec
// asks for.
func (s *Sim) convergedReplicas(set *appsv1.ReplicaSet) error {
	pods := active(s.pods(), set.UID)
	ready := 0
	for _, pod := range pods {
		if isReady(pod) {
			ready++
		}
	}
	want, st := int(*set.Spec.Replicas), set.Status
	if set.DeletionTimestamp != nil || len(pods) != want || ready != want {
		return fmt.Errorf("the ReplicaSet %s wants %d pods, has %d, ready %d", set.Name, want, len(pods), ready)
	}
	if int(st.Replicas) != want || int(st.ReadyReplicas) != want || int(st.AvailableReplicas) != want || *st.TerminatingReplicas != 0 ||
		st.ObservedGeneration != set.Generation || len(st.Conditions) > 0 {
		return fmt.Errorf("the ReplicaSet %s wants %d pods of generation %d, and its status says %+v", set.Name, want, set.Generation, st)
	}
	return nil
}
