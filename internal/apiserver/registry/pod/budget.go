package pod

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/retry"
	pdbhelper "k8s.io/component-helpers/apps/poddisruptionbudget"
)

// mostDisrupted is how many evictions may wait until the controller has seen them.
const mostDisrupted = 2000

// Budgets is where an eviction finds the PodDisruptionBudgets. Without a
// Lister none is served, and nothing stands in the way.
type Budgets struct {
	Lister rest.Lister
	Getter rest.Getter
	Status rest.Updater
}

// of returns the budgets that count on pod.
func (b *Budgets) of(ctx context.Context, pod *corev1.Pod) ([]policyv1.PodDisruptionBudget, error) {
	if b.Lister == nil {
		return nil, nil
	}
	obj, err := b.Lister.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []policyv1.PodDisruptionBudget
	for _, budget := range obj.(*policyv1.PodDisruptionBudgetList).Items {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			out = append(out, budget)
		}
	}
	return out, nil
}

// unhealthyMayGo says that the budget lets go of pods that are not ready:
// always, or because there are enough that are.
func unhealthyMayGo(b *policyv1.PodDisruptionBudget) bool {
	if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil && *p == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.CurrentHealthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
}

// spend takes one disruption off the budget.
func (b *Budgets) spend(ctx context.Context, budget *policyv1.PodDisruptionBudget, pod string, how *metav1.DeleteOptions) error {
	name := budget.Name
	again := func(err error) bool { return ctx.Err() == nil && apierrors.IsConflict(err) }
	err := retry.OnError(conflicts, again, func() error {
		if budget == nil {
			obj, err := b.Getter.Get(ctx, name, &metav1.GetOptions{})
			if err != nil {
				return err
			}
			budget = obj.(*policyv1.PodDisruptionBudget)
		}
		now := budget.DeepCopy()
		budget = nil
		if err := affordable(now); err != nil {
			return err
		}
		now.Status.DisruptionsAllowed--
		if now.Status.DisruptionsAllowed == 0 {
			pdbhelper.UpdateDisruptionAllowedCondition(now)
		}
		if dryrun.IsDryRun(how.DryRun) {
			return nil
		}
		// The controller must not count on the pod any more.
		if now.Status.DisruptedPods == nil {
			now.Status.DisruptedPods = map[string]metav1.Time{}
		}
		now.Status.DisruptedPods[pod] = metav1.Time{Time: time.Now()}
		_, _, err := b.Status.Update(ctx, name, rest.DefaultUpdatedObjectInfo(now),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		return err
	})
	if wait.Interrupted(err) {
		return apierrors.NewTimeoutError(fmt.Sprintf("couldn't update PodDisruptionBudget %q due to conflicts", name), 10)
	}
	return err
}

// affordable says why the budget does not allow a disruption.
func affordable(b *policyv1.PodDisruptionBudget) error {
	s := &b.Status
	resource := schema.GroupResource{Group: policyv1.GroupName, Resource: "poddisruptionbudget"}
	switch {
	case s.ObservedGeneration < b.Generation:
		return stillProcessed(b.Name)
	case s.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(resource, b.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(s.DisruptedPods) > mostDisrupted:
		return apierrors.NewForbidden(resource, b.Name, fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case s.DisruptionsAllowed > 0:
		return nil
	}
	c := meta.FindStatusCondition(s.Conditions, policyv1.DisruptionAllowedCondition)
	told := c != nil && c.Status == metav1.ConditionFalse && c.Message != ""
	switch {
	case told && c.Reason == policyv1.SyncFailedReason:
		return refused(0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %s", b.Name, c.Message))
	case s.CurrentHealthy <= s.DesiredHealthy:
		return refused(0, fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, s.DesiredHealthy, s.CurrentHealthy))
	case told:
		return refused(0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently (%s): %s", b.Name, c.Reason, c.Message))
	}
	return refused(0, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name))
}

func stillProcessed(name string) error {
	return refused(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", name))
}

// refused is an answer that clients try again after.
func refused(after int, why string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", after)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: why})
	return err
}
