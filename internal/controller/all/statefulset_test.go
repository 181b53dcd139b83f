package all_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/statefulset/inplace"
	"berth.dev/berth/internal/plan/statefulset/options"
)

// What a set asks for by annotation, against the real API server: its admission,
// the loop's rights, the subresources that it writes and the garbage collector.
func TestStatefulSetOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	l := start(t)
	ctx := t.Context()
	sets, pods := l.Client.AppsV1().StatefulSets("default"), l.Client.CoreV1().Pods("default")
	l.until("the service account", func() bool {
		_, err := l.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	l.apply("default", 3)
	l.until("three ready pods", l.ready("default", 3))
	patch := func(body string) {
		t.Helper()
		_, err := sets.Patch(ctx, "web", types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{})
		must(t, err)
	}
	annotate := func(name, value string) { patch(`{"metadata":{"annotations":{"` + name + `":"` + value + `"}}}`) }
	pod := func(name string) *corev1.Pod {
		p, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return &corev1.Pod{}
		}
		return p
	}
	uids := func() []types.UID { return []types.UID{pod("web-0").UID, pod("web-1").UID, pod("web-2").UID} }
	rolled := func() bool {
		set, err := sets.Get(ctx, "web", metav1.GetOptions{})
		must(t, err)
		return set.Status.ObservedGeneration == set.Generation && set.Status.CurrentRevision == set.Status.UpdateRevision && set.Status.ReadyReplicas == 3
	}

	// A pod is replaced because its label asks for it.
	before := uids()
	_, err := pods.Patch(ctx, "web-1", types.MergePatchType, []byte(`{"metadata":{"labels":{"berth.dev/replace":"true"}}}`), metav1.PatchOptions{})
	must(t, err)
	l.until("a new web-1 alone", func() bool {
		return l.ready("default", 3)() && pod("web-1").UID != before[1] && pod("web-1").UID != "" && pod("web-0").UID == before[0]
	})

	// Images and labels change in place: a node that restarts containers does the rest.
	annotate(options.InPlaceUpdate, "IfPossible")
	before = uids()
	patch(`{"spec":{"template":{"metadata":{"labels":{"tier":"gold"}},"spec":{"containers":[{"name":"nginx","image":"other:2"}]}}}}`)
	for _, name := range []string{"web-2", "web-1", "web-0"} {
		l.until("the patch of "+name, func() bool { return pod(name).Annotations[inplace.StateAnnotation] != "" })
		p := pod(name)
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: p.Spec.Containers[0].Name, ContainerID: "toy://" + name, Ready: true, Image: "whatever",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		}}
		p.Status.ObservedGeneration = p.Generation
		_, err := pods.UpdateStatus(ctx, p, metav1.UpdateOptions{})
		must(t, err)
	}
	l.until("the end of the rollout in place", rolled)
	if now := uids(); !slices.Equal(now, before) || pod("web-0").Spec.Containers[0].Image != "other:2" || pod("web-0").Labels["tier"] != "gold" {
		t.Errorf("pods %v became %v: %v", before, now, pod("web-0").Labels)
	}
	annotate(options.InPlaceUpdate, "Only")
	_, err = sets.Patch(ctx, "web", types.StrategicMergePatchType, []byte(`{"spec":{"template":{"spec":{"hostNetwork":true}}}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("a change that takes new pods got %v", err)
	}
	patch(`{"metadata":{"annotations":{"` + options.InPlaceUpdate + `":null}}}`)

	// A budget that lets nothing go holds a rollout until it lets one go.
	budgets := l.Client.PolicyV1().PodDisruptionBudgets("default")
	_, err = budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "guard"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: ptr.To(intstr.FromInt32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}}, metav1.CreateOptions{})
	must(t, err)
	annotate(options.RespectPDB, "true")
	before = uids()
	annotated := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	patch(annotated)
	l.until("the rollout to be seen", func() bool {
		set, err := sets.Get(ctx, "web", metav1.GetOptions{})
		return err == nil && set.Status.ObservedGeneration == set.Generation
	})
	if now := uids(); !slices.Equal(now, before) {
		t.Errorf("a pod was taken against its budget: %v became %v", before, now)
	}
	budget, err := budgets.Get(ctx, "guard", metav1.GetOptions{})
	must(t, err)
	if st := budget.Status; st.CurrentHealthy != 3 || st.DisruptionsAllowed != 0 || st.ExpectedPods != 3 {
		t.Errorf("the budget counts %+v", st)
	}
	_, err = budgets.Patch(ctx, "guard", types.MergePatchType, []byte(`{"spec":{"minAvailable":"60%"}}`), metav1.PatchOptions{})
	must(t, err)
	l.until("the end of the rollout", rolled)
	if now := uids(); now[0] == before[0] || now[1] == before[1] || now[2] == before[2] {
		t.Errorf("not every pod was replaced: %v became %v", before, now)
	}
	must(t, budgets.Delete(ctx, "guard", metav1.DeleteOptions{}))

	// The ConfigMap of overrides changes one pod.
	annotate(options.Overrides, "own")
	before = uids()
	_, err = l.Client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "own"}, Data: map[string]string{"1": "metadata: {labels: {zone: b}}"},
	}, metav1.CreateOptions{})
	must(t, err)
	l.until("web-1 with its override", func() bool {
		return pod("web-1").Labels["zone"] == "b" && pod("web-0").UID == before[0] && pod("web-2").UID == before[2] && l.ready("default", 3)()
	})

	// Deleted in the foreground, the set stops its pods in order.
	annotate(options.OrderedTeardown, "true")
	l.until("the finalizer", func() bool {
		set, err := sets.Get(ctx, "web", metav1.GetOptions{})
		return err == nil && slices.Contains(set.Finalizers, options.TeardownFinalizer)
	})
	w, err := pods.Watch(ctx, metav1.ListOptions{})
	must(t, err)
	defer w.Stop()
	must(t, sets.Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}))
	var told []string
	for len(told) < 6 {
		ev, ok := <-w.ResultChan()
		if !ok {
			t.Fatalf("the watch ended after %v", told)
		}
		p, isPod := ev.Object.(*corev1.Pod)
		word := ""
		switch {
		case !isPod:
		case ev.Type == watch.Deleted:
			word = "gone " + p.Name
		case p.DeletionTimestamp != nil:
			word = "stops " + p.Name
		}
		if word != "" && !slices.Contains(told, word) {
			told = append(told, word)
		}
	}
	if want := []string{"stops web-2", "gone web-2", "stops web-1", "gone web-1", "stops web-0", "gone web-0"}; !slices.Equal(told, want) {
		t.Errorf("the pods went like this: %v", told)
	}
	l.until("the set to go", func() bool {
		_, err := sets.Get(ctx, "web", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
