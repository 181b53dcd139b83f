package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/cli"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/plan/why"
)

// cluster is the real API server with its loops, and a node whose kubelet does
// with a pod what the pod's image says.
type cluster struct {
	*alltest.Cluster
	t          *testing.T
	kubeconfig string
}

func start(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the API server")
	}
	// Nobody renews a lease here.
	c := &cluster{Cluster: alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle"}}), t: t}
	text, err := c.Kubeconfig().Encode()
	must(t, err)
	c.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(c.kubeconfig, text, 0o600))
	c.node("n1", corev1.ConditionTrue)
	alltest.Run(t, c.kubelet)
	return c
}

// patience is for machines that do much else.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs berth with a kubeconfig.
func (c *cluster) run(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = cli.Main(append(args, "--kubeconfig", c.kubeconfig), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func (c *cluster) node(name string, ready corev1.ConditionStatus) {
	c.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: ready, LastTransitionTime: metav1.Now(), Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.",
	}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	if ready != corev1.ConditionTrue {
		node.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("0") // nothing is scheduled there
	}
	node.Status.Capacity = node.Status.Allocatable
	alltest.Node(c.t, c.Client, node)
	// Admission taints new nodes until they are ready.
	_, err := c.Client.CoreV1().Nodes().Patch(c.t.Context(), name, types.MergePatchType, []byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{})
	must(c.t, err)
}

// namespace makes a namespace with a headless service nginx.
func (c *cluster) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	_, err := c.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	must(t, err)
	_, err = c.Client.CoreV1().Services(name).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "web"}},
	}, metav1.CreateOptions{})
	must(t, err)
	until(t, "the service account", func() bool {
		_, err := c.Client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// set makes a StatefulSet web of which every pod runs the image.
func (c *cluster) set(t *testing.T, namespace, image string, replicas int32, change ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	t.Helper()
	labels := map[string]string{"app": "web"}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.StatefulSetSpec{
		Replicas: &replicas, ServiceName: "nginx", Selector: &metav1.LabelSelector{MatchLabels: labels},
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: image}}, TerminationGracePeriodSeconds: ptr.To(int64(1))},
		},
	}}
	for _, f := range change {
		f(set)
	}
	set, err := c.Client.AppsV1().StatefulSets(namespace).Create(t.Context(), set, metav1.CreateOptions{})
	must(t, err)
	return set
}

// spentBudget makes a budget that lets none of one pod go, and waits until that is counted.
func (c *cluster) spentBudget(t *testing.T, namespace string) {
	t.Helper()
	budgets := c.Client.PolicyV1().PodDisruptionBudgets(namespace)
	_, err := budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	until(t, "the budget's status", func() bool {
		b, err := budgets.Get(t.Context(), "web", metav1.GetOptions{})
		must(t, err)
		return b.Status.ObservedGeneration == b.Generation && b.Status.CurrentHealthy == 1 && b.Status.DisruptionsAllowed == 0
	})
}

func (c *cluster) settled(t *testing.T, namespace string, replicas int32) {
	t.Helper()
	until(t, "the pods", func() bool {
		set, err := c.Client.AppsV1().StatefulSets(namespace).Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && set.Status.AvailableReplicas == replicas && set.Status.Replicas == replicas &&
			set.Status.ObservedGeneration == set.Generation && set.Status.UpdateRevision == set.Status.CurrentRevision
	})
}

// answer asks until the first reason is the wanted one and the text that people
// get has these words. What waits may change in between.
func (c *cluster) answer(t *testing.T, namespace, object string, want why.Reason, words ...string) why.Report {
	t.Helper()
	var r why.Report
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		code, out, errOut := c.run("why", object, "-n", namespace, "-o", "json")
		if code == 2 {
			t.Fatalf("berth why %s: %s", object, errOut)
		}
		r = why.Report{}
		must(t, json.Unmarshal([]byte(out), &r))
		if len(r.Answers) > 0 && r.Answers[0].Reason == want {
			if (code == 1) != r.Stuck {
				t.Errorf("exit code %d, stuck %v", code, r.Stuck)
			}
			_, text, _ := c.run("why", object, "-n", namespace)
			lacks := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(text, w) })
			if len(lacks) == 0 {
				return r
			}
			out = fmt.Sprintf("%swithout %q", text, lacks)
		}
		if time.Since(begun) > patience {
			t.Fatalf("berth why %s: want %s, got\n%s", object, want, out)
		}
	}
}

// kubelet does with a pod of n1 what the pod's image says.
func (c *cluster) kubelet(ctx context.Context) error {
	return alltest.Kubelet(ctx, c.Client, func(_ context.Context, pod *corev1.Pod) (bool, error) {
		if len(pod.Status.ContainerStatuses) > 0 {
			return false, nil
		}
		play(pod)
		return true, nil
	}, "n1")
}

func play(pod *corev1.Pod) {
	status := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image}
	ready := corev1.ConditionFalse
	pod.Status.Phase = corev1.PodPending
	waiting := func(reason, message string) {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
	switch image, _, _ := strings.Cut(status.Image, ":"); image {
	case "absent":
		waiting("ImagePullBackOff", `Back-off pulling image "`+status.Image+`": ErrImagePull: not found`)
	case "unsettled":
		waiting("CreateContainerConfigError", `configmap "settings" not found`)
	case "failing":
		pod.Status.Phase = corev1.PodFailed
		status.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: metav1.Now()}
	case "crashing", "hungry":
		pod.Status.Phase = corev1.PodRunning
		waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
		ended := &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", FinishedAt: metav1.Now()}
		if image == "hungry" {
			ended.ExitCode, ended.Reason = 137, "OOMKilled"
		}
		status.LastTerminationState.Terminated, status.RestartCount = ended, 2
	default:
		pod.Status.Phase, ready = corev1.PodRunning, corev1.ConditionTrue
		status.Ready, status.Started = true, ptr.To(true)
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()})
}
