package alltest

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// Kubelet is the machines of these names, or of all, until ctx ends. A pod that
// has such a node and is being deleted is gone at once; another one gets the
// status that start puts into it, unless that returns false.
func Kubelet(ctx context.Context, client kubernetes.Interface, start func(context.Context, *corev1.Pod) (bool, error), nodes ...string) error {
	w, err := client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	return Follow(ctx, w, func(event watch.Event) error {
		pod, isPod := event.Object.(*corev1.Pod)
		if !isPod || event.Type == watch.Deleted || pod.Spec.NodeName == "" || len(nodes) > 0 && !slices.Contains(nodes, pod.Spec.NodeName) {
			return nil
		}
		pods := client.CoreV1().Pods(pod.Namespace)
		if pod.DeletionTimestamp != nil {
			return pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID}})
		}
		pod = pod.DeepCopy()
		if started, err := start(ctx, pod); err != nil || !started {
			return err
		}
		_, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
}
