// Package podend deletes pods that no node ends any more.
package podend

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/disruption"
	"berth.dev/berth/internal/plan/podready"
)

// Why a pod is ended from outside; the zero value says nothing in its status.
type Why struct{ Reason, Message string }

// Delete marks a pod as failed, since a finalizer may keep it and whoever waits
// for its end must see one, and deletes it at once. latest is the pod with what
// else its status is to say; nil is nothing.
func Delete(ctx context.Context, env loop.Env, pod, latest *corev1.Pod, why Why) error {
	if latest == nil {
		latest = pod.DeepCopy()
	}
	if !podready.Ended(pod) {
		latest.Status.Phase = corev1.PodFailed
		if why.Message != "" {
			disruption.Target(latest, why.Reason, why.Message, env.Clock.Now())
		}
	}
	if !equality.Semantic.DeepEqual(latest.Status, pod.Status) {
		before := client.StrategicMergeFrom(pod, client.MergeFromWithOptimisticLock{})
		if err := env.Write.Status().Patch(ctx, latest, before); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("mark pod %s/%s as failed: %w", pod.Namespace, pod.Name, err))
		}
	}
	err := env.Write.Delete(ctx, latest, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
