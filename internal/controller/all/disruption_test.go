package all_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// A budget is a share of what the pods' controller wants, also when that is of
// a custom kind; of one without a scale there is no share, and nothing may go
// until the kind has one.
func TestBudgetOfCustomController(t *testing.T) {
	h := openHarbour(t)
	h.until("the service account", func() bool {
		_, err := h.Client.CoreV1().ServiceAccounts("default").Get(h.ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	ship := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(4)}}}
	ship.SetAPIVersion(fleetGroup + "/v1")
	ship.SetKind("Ship")
	ship.SetName("titanic")
	ship, err := h.ships.Create(h.ctx, ship, metav1.CreateOptions{})
	must(t, err)
	for i := range 3 {
		pod, err := h.Client.CoreV1().Pods("default").Create(h.ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprint("crew-", i), Labels: map[string]string{"app": "crew"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: ship.GetAPIVersion(), Kind: "Ship", Name: ship.GetName(), UID: ship.GetUID(), Controller: ptr.To(true)}},
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
		}, metav1.CreateOptions{})
		must(t, err)
		// A patch: the scheduler writes the status too.
		_, err = h.Client.CoreV1().Pods("default").Patch(h.ctx, pod.Name, types.StrategicMergePatchType,
			[]byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`), metav1.PatchOptions{}, "status")
		must(t, err)
	}
	budgets := h.Client.PolicyV1().PodDisruptionBudgets("default")
	_, err = budgets.Create(h.ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "crew"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: ptr.To(intstr.FromString("50%")), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "crew"}},
	}}, metav1.CreateOptions{})
	must(t, err)
	condition := func() metav1.Condition {
		b, err := budgets.Get(h.ctx, "crew", metav1.GetOptions{})
		must(t, err)
		if c := meta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition); c != nil {
			return *c
		}
		return metav1.Condition{}
	}
	h.until("the budget to say why it cannot count", func() bool { return condition().Reason == policyv1.SyncFailedReason })
	if got, want := condition().Message, "ships.fleet.example.org does not implement the scale subresource"; got != want {
		t.Errorf("%q, want %q", got, want)
	}

	client, err := apiextensions.NewForConfig(h.Config)
	must(t, err)
	_, err = client.ApiextensionsV1().CustomResourceDefinitions().Patch(h.ctx, "ships."+fleetGroup, types.JSONPatchType,
		[]byte(`[{"op":"add","path":"/spec/versions/0/subresources","value":{"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}}},
		{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-preserve-unknown-fields","value":true}]`), metav1.PatchOptions{})
	must(t, err)
	h.until("the scale to be served", func() bool {
		_, err := h.ships.Patch(h.ctx, "titanic", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{})
		must(t, err)
		_, err = h.ships.Get(h.ctx, "titanic", metav1.GetOptions{}, "scale")
		return err == nil
	})
	_, err = h.Client.CoreV1().Pods("default").Patch(h.ctx, "crew-0", types.MergePatchType, []byte(`{"metadata":{"annotations":{"look":"again"}}}`), metav1.PatchOptions{})
	must(t, err)
	h.until("the budget to count", func() bool {
		b, err := budgets.Get(h.ctx, "crew", metav1.GetOptions{})
		must(t, err)
		s := b.Status
		return s.ExpectedPods == 4 && s.DesiredHealthy == 2 && s.CurrentHealthy == 3 && s.DisruptionsAllowed == 1 && condition().Reason == policyv1.SufficientPodsReason
	})
}
