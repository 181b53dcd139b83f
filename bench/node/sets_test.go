package node

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	orderedUp   = "10 ordered pods with probe: create to Ready"
	orderedBare = "10 ordered pods: create to Ready"
	orderedRoll = "10 ordered pods with probe: rolling update"
	orderedDown = "10 ordered pods: scale to 0"
	replaced    = "a pod of a set: delete to its replacement Ready"
)

func parallelUp(n int, probed bool) string {
	if probed {
		return fmt.Sprintf("%d Parallel pods with probe: create to Ready", n)
	}
	return fmt.Sprintf("%d Parallel pods: create to Ready", n)
}

func set(n int, probed bool, policy appsv1.PodManagementPolicyType) *appsv1.StatefulSet {
	var probe *corev1.Probe
	if probed {
		probe = healthz(1)
	}
	labels := map[string]string{"app": "web"}
	template := pod("", probe)
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(int32(n)), PodManagementPolicy: policy,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template.Spec},
		},
	}
}

// sets measures StatefulSets.
func (t *bench) sets() {
	t.sample[orderedUp] = t.up(10, true, appsv1.OrderedReadyPodManagement)
	t.sample[replaced] = 1000 * t.replace("web-4")
	t.sample[orderedRoll] = t.roll(10)
	t.sample[orderedDown] = t.down(10)
	t.sample[orderedBare] = t.up(10, false, appsv1.OrderedReadyPodManagement)
	t.down(10)
	for _, n := range []int{10, 30} {
		for _, probed := range []bool{true, false} {
			t.sample[parallelUp(n, probed)] = t.up(n, probed, appsv1.ParallelPodManagement)
			t.down(n)
		}
	}
}

func last(took []time.Duration) float64 { return took[len(took)-1].Seconds() }

func (t *bench) up(n int, probed bool, policy appsv1.PodManagementPolicyType) float64 {
	defer t.settle()
	return last(t.await(n, func() error {
		_, err := t.client.AppsV1().StatefulSets(namespace).Create(t.B.Context(), set(n, probed, policy), metav1.CreateOptions{})
		return err
	}, ready))
}

// replace deletes a pod; its successor has another UID.
func (t *bench) replace(name string) float64 {
	defer t.settle()
	old, err := t.client.CoreV1().Pods(namespace).Get(t.B.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.B.Fatal(err)
	}
	return last(t.await(1, t.delete(name), func(p seen) bool { return p.Name == name && p.UID != old.UID && ready(p) }))
}

// roll restarts the set: pods that were Ready before do not count.
func (t *bench) roll(n int) float64 {
	defer t.settle()
	patch := []byte(`{"spec":{"template":{"metadata":{"annotations":{"rolled":"yes"}}}}}`)
	return last(t.await(n, func() error {
		_, err := t.client.AppsV1().StatefulSets(namespace).Patch(t.B.Context(), "web", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return err
	}, func(p seen) bool { return p.Annotations["rolled"] == "yes" && ready(p) }))
}

// down scales the set to 0, in its order, and deletes it.
func (t *bench) down(n int) float64 {
	defer t.settle()
	sets := t.client.AppsV1().StatefulSets(namespace)
	took := last(t.await(n, func() error {
		_, err := sets.Patch(t.B.Context(), "web", types.StrategicMergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
		return err
	}, gone))
	if err := sets.Delete(t.B.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.B.Fatal(err)
	}
	return took
}
