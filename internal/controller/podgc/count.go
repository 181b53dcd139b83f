package podgc

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podindex"
	plan "berth.dev/berth/internal/plan/podgc"
)

// between is how far apart two counts are: pods may end by the hundred.
const between = 20 * time.Second

// tooMany is the request to count the pods that have ended; no node has that name.
var tooMany = reconcile.Request{NamespacedName: types.NamespacedName{Name: "/ended"}}

// count deletes the pods that have ended and are too many. What it saw may be
// old, so it counts once more after it has deleted.
func (c *collector) count(ctx context.Context) (reconcile.Result, error) {
	if c.kept <= 0 {
		return reconcile.Result{}, nil
	}
	now := c.env.Clock.Now()
	if wait := between - max(now.Sub(c.counted), 0); wait > 0 && !c.counted.IsZero() {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	c.counted = now
	ended, err := loop.List[*corev1.Pod](ctx, c.env.Cache, &corev1.PodList{}, client.MatchingFields{podindex.Ended: "true"})
	if err != nil {
		return reconcile.Result{}, err
	}
	// One that only a finalizer keeps needs no second word.
	surplus := slices.DeleteFunc(plan.Surplus(ended, c.kept), func(pod *corev1.Pod) bool {
		return pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
	})
	if len(surplus) == 0 {
		return reconcile.Result{}, nil
	}
	err = loop.Each(len(surplus), c.env.Parallel, func(i int) error { return c.drop(ctx, surplus[i]) })
	return reconcile.Result{RequeueAfter: between}, err
}

// drop deletes a pod that has ended.
func (c *collector) drop(ctx context.Context, pod *corev1.Pod) error {
	err := c.env.Write.Delete(ctx, pod.DeepCopy(), client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it, or its like, is gone
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete pod %s/%s, which has ended: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
