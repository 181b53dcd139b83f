package all_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// The real API server with its rights: an important pod takes the place of an
// unimportant one, a claim knows of the pod that it waits for, and all that upstream says about it is said.
func TestPreemptionLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	pods := l.Client.CoreV1().Pods("default")
	_, err := l.Client.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000,
	}, metav1.CreateOptions{})
	must(t, err)
	create := func(name, cpu, class string) *corev1.Pod {
		p := single(name, name, cpu, 0)
		p.Spec.Priority, p.Spec.PriorityClassName = nil, class
		p, err := pods.Create(ctx, p, metav1.CreateOptions{})
		must(t, err)
		return p
	}
	get := func(name string) *corev1.Pod {
		p, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return p
	}
	create("low", "6", "")
	l.until("low to run", func() bool { p := get("low"); return p != nil && p.Status.Phase == corev1.PodRunning })

	create("equal", "6", "")
	l.until("the reason of a pod that fits nowhere", func() bool {
		p := get("equal")
		return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable &&
				c.Message == "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
		})
	})

	high := create("high", "6", "high")
	l.until("high to run in the place of low", func() bool {
		p := get("high")
		return p.Status.Phase == corev1.PodRunning && p.Status.NominatedNodeName == "" && get("low") == nil
	})
	l.until("the events", func() bool {
		return slices.Contains(l.said("Pod", "low"), fmt.Sprintf("default-scheduler Normal Preempted: Preempted by pod %s on node n1", high.UID)) &&
			slices.Contains(l.said("Pod", "high"), "default-scheduler Warning FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu.") &&
			slices.Contains(l.said("Pod", "high"), "default-scheduler Normal Scheduled: Successfully assigned default/high to n1")
	})

	// A claim whose first pod is there, but fits nowhere, says so.
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	_, err = l.Client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "by-hand"}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &mode,
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = l.Client.CoreV1().PersistentVolumeClaims("default").Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: ptr.To("by-hand"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	const source = "persistentvolume-controller Normal "
	l.until("the claim to be seen", func() bool {
		return slices.Contains(l.said("PersistentVolumeClaim", "data"), source+"WaitForFirstConsumer: waiting for first consumer to be created before binding")
	})
	astray := single("astray", "astray", "1", 0)
	astray.Spec.Priority, astray.Spec.NodeSelector = nil, map[string]string{"no": "where"}
	astray.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
	_, err = pods.Create(ctx, astray, metav1.CreateOptions{})
	must(t, err)
	l.until("the claim to wait for the pod", func() bool {
		return slices.Contains(l.said("PersistentVolumeClaim", "data"), source+"WaitForPodScheduled: waiting for pod astray to be scheduled")
	})

	// What is left of the node goes to whom it helps.
	must(t, pods.Delete(ctx, "high", metav1.DeleteOptions{}))
	l.until("equal to run", func() bool { return get("equal").Status.Phase == corev1.PodRunning })
}
