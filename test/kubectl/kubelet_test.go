package kubectl

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/all/alltest"
)

// kubelet runs every pod that has a node, and ends what is being deleted.
func kubelet(ctx context.Context, client kubernetes.Interface) error {
	return alltest.Kubelet(ctx, client, func(_ context.Context, pod *corev1.Pod) (bool, error) {
		if pod.Status.Phase != corev1.PodPending {
			return false, nil
		}
		run(pod)
		return true, nil
	})
}

func run(pod *corev1.Pod) {
	now := metav1.Now()
	pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, &now
	pod.Status.PodIP, pod.Status.HostIP = "10.42.0.7", "192.0.2.7"
	pod.Status.PodIPs, pod.Status.HostIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}, []corev1.HostIP{{IP: pod.Status.HostIP}}
	for _, t := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	pod.Status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: "sha256:0", ContainerID: "toy://" + c.Name, Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
}
