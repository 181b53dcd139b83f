package all_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func template(app string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "nginx:1"}}},
	}
}

func (l *live) serviceAccount() {
	l.t.Helper()
	l.until("the service account", func() bool {
		_, err := l.Client.CoreV1().ServiceAccounts("default").Get(l.t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
}

// podsOf are the pods that the object controls, without those that are going.
func (l *live) podsOf(owner metav1.Object) []corev1.Pod {
	l.t.Helper()
	pods, err := l.Client.CoreV1().Pods("default").List(l.t.Context(), metav1.ListOptions{})
	must(l.t, err)
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return !metav1.IsControlledBy(&p, owner) || p.DeletionTimestamp != nil })
}

// said are the events about an object, as "Reason message".
func (l *live) said(kind, name string) []string {
	l.t.Helper()
	events, err := l.Client.CoreV1().Events("default").List(l.t.Context(), metav1.ListOptions{})
	must(l.t, err)
	var all []string
	for _, e := range events.Items {
		if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name {
			all = append(all, fmt.Sprintf("%s %s %s: %s", e.Source.Component, e.Type, e.Reason, e.Message))
		}
	}
	return all
}

func TestReplicaSetLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	sets, pods := l.Client.AppsV1().ReplicaSets("default"), l.Client.CoreV1().Pods("default")
	labels := map[string]string{"app": "front"}

	// Pods that stand alone are taken in, as some of those that are wanted.
	for _, name := range []string{"alone", "cheap"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: template("front").Spec}
		if name == "cheap" {
			pod.Annotations = map[string]string{corev1.PodDeletionCost: "-10"}
		}
		_, err := pods.Create(ctx, pod, metav1.CreateOptions{})
		must(t, err)
	}
	set, err := sets.Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "front"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template("front"),
		},
	}, metav1.CreateOptions{})
	must(t, err)
	status := func(want appsv1.ReplicaSetStatus) func() bool {
		return func() bool {
			now, err := sets.Get(ctx, "front", metav1.GetOptions{})
			must(t, err)
			want.ObservedGeneration, want.TerminatingReplicas = now.Generation, ptr.To(int32(0))
			return equality.Semantic.DeepEqual(now.Status, want)
		}
	}
	all := func(n int32) appsv1.ReplicaSetStatus {
		return appsv1.ReplicaSetStatus{Replicas: n, FullyLabeledReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
	}
	l.until("three ready pods", status(all(3)))
	mine := l.podsOf(set)
	if !slices.ContainsFunc(mine, func(p corev1.Pod) bool { return p.Name == "alone" }) || len(mine) != 3 {
		t.Errorf("the lonely pod was not taken in: %d pods", len(mine))
	}
	l.until("its only event", func() bool {
		said := l.said("ReplicaSet", "front")
		return len(said) == 1 && strings.HasPrefix(said[0], "replicaset-controller Normal SuccessfulCreate: Created pod: front-")
	})
	scale := func(n int) {
		t.Helper()
		_, err := sets.Patch(ctx, "front", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n), metav1.PatchOptions{}, "scale")
		must(t, err)
	}

	// What is cheap goes first.
	scale(2)
	l.until("two pods", status(all(2)))
	l.until("the event of the deletion of the pod of the lowest cost", func() bool {
		return slices.Contains(l.said("ReplicaSet", "front"), "replicaset-controller Normal SuccessfulDelete: Deleted pod: cheap")
	})

	// A pod whose label changes is let go and replaced.
	_, err = pods.Patch(ctx, "alone", types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"other"}}}`), metav1.PatchOptions{})
	must(t, err)
	l.until("a replacement", func() bool {
		mine := l.podsOf(set)
		return len(mine) == 2 && mine[0].Name != "alone" && status(all(2))()
	})
	freed, err := pods.Get(ctx, "alone", metav1.GetOptions{})
	must(t, err)
	if len(freed.OwnerReferences) != 0 {
		t.Errorf("the pod that was let go still has %v", freed.OwnerReferences)
	}

	// A quota at its limit: said once in the condition, counted in one event, tried ever more slowly.
	quotas := l.Client.CoreV1().ResourceQuotas("default")
	_, err = quotas.Create(ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("3")}},
	}, metav1.CreateOptions{})
	must(t, err)
	l.until("the quota to be counted", func() bool {
		q, err := quotas.Get(ctx, "few", metav1.GetOptions{})
		return err == nil && q.Status.Used.Pods().Value() == 3
	})
	scale(3)
	l.until("the condition", func() bool {
		now, err := sets.Get(ctx, "front", metav1.GetOptions{})
		must(t, err)
		return len(now.Status.Conditions) == 1 && now.Status.Conditions[0].Type == appsv1.ReplicaSetReplicaFailure &&
			now.Status.Conditions[0].Reason == "FailedCreate" && strings.Contains(now.Status.Conditions[0].Message, "exceeded quota: few")
	})
	l.until("the warning", func() bool {
		return slices.ContainsFunc(l.said("ReplicaSet", "front"), func(said string) bool {
			return strings.HasPrefix(said, `replicaset-controller Warning FailedCreate: Error creating: pods "front-`)
		})
	})
	must(t, quotas.Delete(ctx, "few", metav1.DeleteOptions{}))
	l.until("the third pod once there is room", status(all(3)))

	// Orphaned pods outlive the set, and another one takes them.
	must(t, sets.Delete(ctx, "front", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}))
	l.until("orphans", func() bool {
		_, err := sets.Get(ctx, "front", metav1.GetOptions{})
		return err != nil
	})
	again := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "again"}, Spec: *set.Spec.DeepCopy()}
	again, err = sets.Create(ctx, again, metav1.CreateOptions{})
	must(t, err)
	l.until("their adoption", func() bool { return len(l.podsOf(again)) == 3 })
	if said := l.said("ReplicaSet", "again"); len(said) != 0 {
		t.Errorf("pods were made although there were enough: %v", said)
	}
}

func TestReplicationControllerLive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	l.serviceAccount()
	controllers := l.Client.CoreV1().ReplicationControllers("default")
	old := template("old")
	rc, err := controllers.Create(ctx, &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "old"},
		Spec:       corev1.ReplicationControllerSpec{Replicas: ptr.To(int32(2)), MinReadySeconds: 2, Template: &old},
	}, metav1.CreateOptions{})
	must(t, err)
	begun := time.Now()
	l.until("two available pods", func() bool {
		rc, err = controllers.Get(ctx, "old", metav1.GetOptions{})
		must(t, err)
		return rc.Status.AvailableReplicas == 2 && rc.Status.ReadyReplicas == 2 && rc.Status.Replicas == 2 && rc.Status.FullyLabeledReplicas == 2 &&
			rc.Status.ObservedGeneration == rc.Generation
	})
	// Since when a pod is ready is written in whole seconds, and may be said a second too early.
	if took := time.Since(begun); took < time.Second || took > 10*time.Second {
		t.Errorf("minReadySeconds of 2 took %s", took)
	}
	pod := l.podsOf(rc)[0]
	if ref := metav1.GetControllerOf(&pod); ref.Kind != "ReplicationController" || ref.APIVersion != "v1" || !*ref.BlockOwnerDeletion {
		t.Errorf("controlled by %+v", ref)
	}
	l.until("its events", func() bool {
		said := l.said("ReplicationController", "old")
		return len(said) == 2 && strings.HasPrefix(said[0], "replication-controller Normal SuccessfulCreate: Created pod: old-")
	})
	must(t, controllers.Delete(ctx, "old", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	l.until("controller and pods to go", func() bool {
		_, err := controllers.Get(ctx, "old", metav1.GetOptions{})
		return err != nil && len(l.podsOf(rc)) == 0
	})
}
