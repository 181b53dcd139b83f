package statefulset

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/statefulset"
)

// evictPod deletes a pod by way of eviction, so that budgets are asked at that
// very moment: another set may have spent what the cache still shows. A refusal
// is no failure, the change of the budget wakes us.
func (s *pass) evictPod(ctx context.Context, pod *corev1.Pod) error {
	eviction := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	}
	err := client.IgnoreNotFound(s.write.SubResource("eviction").Create(ctx, pod, eviction))
	if apierrors.IsTooManyRequests(err) {
		return errRefused
	}
	_, ordinal, _ := plan.ParseName(pod.Name)
	s.podEvent("Delete", ordinal, err)
	if err != nil {
		return fmt.Errorf("evict %s: %w", pod.Name, err)
	}
	return nil
}

// errRefused ends a plan that was made before a budget was spent.
var errRefused = errors.New("a PodDisruptionBudget refused the eviction")

// budgets are those of the set's namespace, when it asks for them to be respected.
func (s *pass) budgets(ctx context.Context) ([]*policyv1.PodDisruptionBudget, error) {
	if !asksFor(s.set).RespectPDB {
		return nil, nil
	}
	var list policyv1.PodDisruptionBudgetList
	if err := s.env.Cache.List(ctx, &list, client.InNamespace(s.set.Namespace)); err != nil {
		return nil, err
	}
	all := make([]*policyv1.PodDisruptionBudget, len(list.Items))
	for i := range list.Items {
		all[i] = &list.Items[i]
	}
	return all, nil
}
