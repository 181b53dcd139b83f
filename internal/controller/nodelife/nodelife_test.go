package nodelife_test

import (
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/nodelife"
	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/sim"
)

// nodeName is no toy node's, so that only the test speaks for it.
const nodeName = "silent"

type cluster struct {
	*sim.Sim
	t *testing.T
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c cluster) node() *corev1.Node {
	c.t.Helper()
	n := &corev1.Node{}
	must(c.t, c.API().Get(c.t.Context(), client.ObjectKey{Name: nodeName}, n))
	return n.DeepCopy()
}

func (c cluster) sayReady() {
	c.t.Helper()
	n := c.node()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.NewTime(c.Now())}}
	must(c.t, c.API().Status().Update(c.t.Context(), n))
}

func (c cluster) renew() {
	c.t.Helper()
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: nodeName}
	at := metav1.NewMicroTime(c.Now())
	if err := c.API().Get(c.t.Context(), key, lease); err != nil {
		c.Create(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}})
		return
	}
	lease = lease.DeepCopy()
	lease.Spec.RenewTime = &at
	must(c.t, c.API().Update(c.t.Context(), lease))
}

func start(t *testing.T, loops ...loop.Loop) cluster {
	c := cluster{sim.New(sim.Config{Seed: 1, Loops: loops, NoToyScheduler: true}), t}
	c.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}})
	return c
}

func (c cluster) podReady(name string) corev1.ConditionStatus {
	c.t.Helper()
	pod := &corev1.Pod{}
	must(c.t, c.API().Get(c.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, pod))
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodReady {
			return cond.Status
		}
	}
	return ""
}

func (c cluster) until(what string, ok func() bool) {
	c.t.Helper()
	for !ok() {
		if !c.Step() {
			c.t.Fatalf("at rest before %s", what)
		}
	}
}

func TestSilentNode(t *testing.T) {
	c := start(t, nodelife.Loop())
	c.until("a new node is tainted as not ready", func() bool {
		taints := c.node().Spec.Taints
		return len(taints) == 1 && taints[0].Key == corev1.TaintNodeNotReady
	})
	c.sayReady()
	c.renew()
	begun := c.Now()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
	}
	c.Create(pod)
	must(t, c.API().Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
	pod = pod.DeepCopy()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	must(t, c.API().Status().Update(t.Context(), pod))
	c.until("a ready node has no taints", func() bool { return len(c.node().Spec.Taints) == 0 })

	// Nothing is heard any more.
	must(t, c.Settle(1000))
	if waited := c.Now().Sub(begun); waited < 40*time.Second || waited > 41*time.Second {
		t.Errorf("given up after %s", waited)
	}
	n := c.node()
	i := slices.IndexFunc(n.Status.Conditions, func(x corev1.NodeCondition) bool { return x.Type == corev1.NodeReady })
	if ready := n.Status.Conditions[i]; ready.Status != corev1.ConditionUnknown || ready.Message != "Kubelet stopped posting node status." {
		t.Errorf("got %+v", ready)
	}
	if len(n.Spec.Taints) != 2 || n.Spec.Taints[0].Key != corev1.TaintNodeUnreachable || n.Spec.Taints[0].TimeAdded == nil {
		t.Errorf("taints %v", n.Spec.Taints)
	}
	if c.podReady("p") != corev1.ConditionFalse {
		t.Error("the pod of a silent node still counts as ready")
	}

	// It comes back.
	c.renew()
	c.sayReady()
	c.until("the taints are gone", func() bool { return len(c.node().Spec.Taints) == 0 })
}

func TestPodsOfMissingNodeGo(t *testing.T) {
	c := start(t, podgc.Loop())
	for _, name := range []string{"p", "q"} {
		c.Create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec:       corev1.PodSpec{NodeName: map[string]string{"p": nodeName, "q": "gone"}[name], Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
		})
	}
	must(t, c.Settle(1000))
	list := &corev1.PodList{}
	must(t, c.API().List(t.Context(), list))
	if len(list.Items) != 1 || list.Items[0].Name != "p" {
		t.Errorf("left are %d pods", len(list.Items))
	}
}
