package nodelife_test

import (
	"context"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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

// heartbeat is a loop that keeps the lease of the node "well" renewed.
func heartbeat() loop.Loop {
	return loop.Loop{
		Name: "heartbeat",
		Watches: []loop.Watch{
			{Kind: &corev1.Node{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				if ev.Object().GetName() != "well" {
					return nil
				}
				return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: corev1.NamespaceNodeLease, Name: "well"}}}
			}},
			{Kind: &coordinationv1.Lease{}},
		},
		New: func(env loop.Env) reconcile.Reconciler {
			return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
				lease := &coordinationv1.Lease{}
				if err := env.Live.Get(ctx, req.NamespacedName, lease); err != nil {
					return reconcile.Result{RequeueAfter: time.Second}, client.IgnoreNotFound(err)
				}
				lease = lease.DeepCopy()
				lease.Spec.RenewTime = &metav1.MicroTime{Time: env.Clock.Now()}
				return reconcile.Result{RequeueAfter: 5 * time.Second}, env.Write.Update(ctx, lease)
			})
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c cluster) node() *corev1.Node { return c.nodeOf(nodeName) }

func (c cluster) nodeOf(name string) *corev1.Node {
	c.t.Helper()
	n := &corev1.Node{}
	must(c.t, c.API().Get(c.t.Context(), client.ObjectKey{Name: name}, n))
	return n.DeepCopy()
}

func (c cluster) sayReady() { c.sayReadyOf(nodeName) }

func (c cluster) sayReadyOf(name string) {
	c.t.Helper()
	n := c.nodeOf(name)
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.NewTime(c.Now())}}
	must(c.t, c.API().Status().Update(c.t.Context(), n))
}

func (c cluster) renew() { c.renewOf(nodeName) }

func (c cluster) renewOf(name string) {
	c.t.Helper()
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: name}
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

// startWithWell is start with a second node that is always heard.
func startWithWell(t *testing.T, loops ...loop.Loop) cluster {
	c := start(t, append(loops, heartbeat())...)
	c.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "well"}})
	c.sayReadyOf("well")
	c.renewOf("well")
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
	c := startWithWell(t, nodelife.Loop())
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
	c.until("it is given up", func() bool { return len(c.node().Spec.Taints) == 2 && c.podReady("p") == corev1.ConditionFalse })
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
	c := start(t, podgc.Loop(0))
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

// What is mostly lost is a matter of how many nodes a zone has: when one that
// was lost is deleted, the others are looked at again.
func TestNodeDeletedFromAZoneThatIsMostlyLost(t *testing.T) {
	c := startWithWell(t, nodelife.Loop())
	for _, name := range []string{"lost-0", "lost-1", "lost-2"} {
		c.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		c.sayReadyOf(name)
		c.renewOf(name)
	}
	must(t, c.API().Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}}))
	drained := func() (n int) {
		for _, name := range []string{"lost-0", "lost-1", "lost-2"} {
			node := &corev1.Node{}
			if c.API().Get(t.Context(), client.ObjectKey{Name: name}, node) == nil &&
				slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute }) {
				n++
			}
		}
		return n
	}
	must(t, c.RunFor(10*time.Minute))
	before := drained() // of three, all at once: some may have been first
	if before == 3 {
		t.Fatal("a zone that is mostly lost is drained")
	}
	must(t, c.API().Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "lost-2"}}))
	must(t, c.RunFor(10*time.Minute))
	if n := drained(); n != 2 {
		t.Errorf("%d of the 2 that are left are drained, %d were before", n, before)
	}
}
