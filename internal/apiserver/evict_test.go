package apiserver_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

// TestEvictionWithinBudgets evicts running pods that budgets count on.
func TestEvictionWithinBudgets(t *testing.T) {
	e := apitest.Start(t)
	ctx := t.Context()
	pods, budgets := e.Client.CoreV1().Pods(namespace), e.Client.PolicyV1().PodDisruptionBudgets(namespace)
	for _, name := range []string{"a", "b"} {
		pod := newPod(name)
		pod.Spec.NodeName = "n1"
		pod = must[*corev1.Pod](t)(pods.Create(ctx, pod, metav1.CreateOptions{}))
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		must[*corev1.Pod](t)(pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}))
	}
	budget := func(name string) {
		one := intstr.FromInt32(1)
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		}}
		b = must[*policyv1.PodDisruptionBudget](t)(budgets.Create(ctx, b, metav1.CreateOptions{}))
		b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1, ExpectedPods: 2}
		must[*policyv1.PodDisruptionBudget](t)(budgets.UpdateStatus(ctx, b, metav1.UpdateOptions{}))
	}
	evict := func(name string, o *metav1.DeleteOptions) error {
		return pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}, DeleteOptions: o})
	}
	budget("one")
	if err := evict("a", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if err := evict("a", &metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(5))}); err != nil {
		t.Fatal(err)
	}
	b := must[*policyv1.PodDisruptionBudget](t)(budgets.Get(ctx, "one", metav1.GetOptions{}))
	if _, told := b.Status.DisruptedPods["a"]; b.Status.DisruptionsAllowed != 0 || !told {
		t.Errorf("the budget becomes %+v", b.Status)
	}
	gone := must[*corev1.Pod](t)(pods.Get(ctx, "a", metav1.GetOptions{}))
	if gone.DeletionTimestamp == nil || *gone.DeletionGracePeriodSeconds != 5 || gone.Status.Conditions[1].Reason != "EvictionByEvictionAPI" {
		t.Errorf("the pod becomes %+v", gone)
	}
	err := evict("b", nil)
	if !apierrors.IsTooManyRequests(err) || !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		t.Errorf("beyond the budget: %v", err)
	}
	budget("two")
	if err := evict("b", nil); err == nil || !strings.Contains(err.Error(), "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.") {
		t.Errorf("two budgets: %v", err)
	}
}

// TestEvictionsAtOnce has evictions that spend one budget at the same moment:
// each tries again when another was quicker, and no more go than may.
func TestEvictionsAtOnce(t *testing.T) {
	e := apitest.Start(t)
	ctx := t.Context()
	const all, allowed = 12, 9
	pods, budgets := e.Client.CoreV1().Pods(namespace), e.Client.PolicyV1().PodDisruptionBudgets(namespace)
	b := must[*policyv1.PodDisruptionBudget](t)(budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: policyv1.PodDisruptionBudgetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}}, metav1.CreateOptions{}))
	b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, DisruptionsAllowed: allowed, CurrentHealthy: all, DesiredHealthy: all - allowed, ExpectedPods: all}
	must[*policyv1.PodDisruptionBudget](t)(budgets.UpdateStatus(ctx, b, metav1.UpdateOptions{}))
	for i := range all {
		pod := newPod(fmt.Sprint("p", i))
		pod.Spec.NodeName = "n1"
		pod = must[*corev1.Pod](t)(pods.Create(ctx, pod, metav1.CreateOptions{}))
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		must[*corev1.Pod](t)(pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}))
	}
	answers := make(chan error, all)
	for i := range all {
		go func() {
			answers <- pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}})
		}()
	}
	refused := 0
	for range all {
		if err := <-answers; apierrors.IsTooManyRequests(err) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != all-allowed {
		t.Errorf("%d evictions are refused, want %d", refused, all-allowed)
	}
	if b = must[*policyv1.PodDisruptionBudget](t)(budgets.Get(ctx, "one", metav1.GetOptions{})); len(b.Status.DisruptedPods) != allowed || b.Status.DisruptionsAllowed != 0 {
		t.Errorf("the budget becomes %+v", b.Status)
	}
}

// warnings keeps what the server warns about.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

// TestDeprecatedKindsAreNamed reads Endpoints, which are deprecated as a whole.
func TestDeprecatedKindsAreNamed(t *testing.T) {
	e := apitest.Start(t)
	config, heard := restclient.CopyConfig(e.Config), &warnings{}
	config.WarningHandler = heard
	client := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
	must[*corev1.Endpoints](t)(client.CoreV1().Endpoints(namespace).Create(t.Context(), &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{}))
	must[*corev1.EndpointsList](t)(client.CoreV1().Endpoints(namespace).List(t.Context(), metav1.ListOptions{}))
	const want = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
	if len(heard.all) != 2 || heard.all[0] != want || heard.all[1] != want {
		t.Errorf("heard %q", heard.all)
	}
}
