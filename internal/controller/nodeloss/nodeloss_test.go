package nodeloss_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/nodeloss"
	plan "berth.dev/berth/internal/plan/nodeloss"
	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

// nodeName is no toy node's, so that only the test speaks for it.
const nodeName = "two"

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

// start has a node with one pod of a set that asks for its pods to be replaced.
func start(t *testing.T) cluster {
	c := cluster{sim.New(sim.Config{Seed: 1, Loops: []loop.Loop{nodeloss.Loop()}, NoToyScheduler: true}), t}
	c.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}})
	c.Create(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{options.NodeLoss: options.Replace}}})
	set := &appsv1.StatefulSet{}
	must(t, c.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, set))
	c.Create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: set.UID, Controller: ptr.To(true),
		}}},
		Spec: corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
	})
	c.ready(corev1.ConditionTrue)
	return c
}

func (c cluster) pod() *corev1.Pod {
	c.t.Helper()
	pod := &corev1.Pod{}
	err := c.API().Get(c.t.Context(), client.ObjectKey{Namespace: "default", Name: "web-0"}, pod)
	if apierrors.IsNotFound(err) {
		return nil
	}
	must(c.t, err)
	return pod
}

func (c cluster) ready(status corev1.ConditionStatus) {
	c.t.Helper()
	n := &corev1.Node{}
	must(c.t, c.API().Get(c.t.Context(), client.ObjectKey{Name: nodeName}, n))
	n = n.DeepCopy()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	must(c.t, c.API().Status().Update(c.t.Context(), n))
}

// renew is the node's lease, promising for these pods.
func (c cluster) renew(pods ...types.UID) {
	c.t.Helper()
	key := client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: nodeName}
	at := metav1.NewMicroTime(c.Now())
	annotations := map[string]string{plan.LeaseAnnotation: plan.Promise{After: 40 * time.Second, Pods: pods}.String()}
	lease := &coordinationv1.Lease{}
	if err := c.API().Get(c.t.Context(), key, lease); err != nil {
		c.Create(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Annotations: annotations}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}})
		return
	}
	lease = lease.DeepCopy()
	lease.Spec.RenewTime, lease.Annotations = &at, annotations
	must(c.t, c.API().Update(c.t.Context(), lease))
}

func (c cluster) until(what string, ok func() bool) {
	c.t.Helper()
	for !ok() {
		if !c.Step() {
			c.t.Fatalf("at rest before %s:\n%s", what, strings.Join(c.Trace(), "\n"))
		}
	}
}

func (c cluster) said() string {
	if pod := c.pod(); pod != nil {
		if s := plan.Said(pod); s != nil {
			return s.Reason
		}
	}
	return ""
}

// A pod is marked, and goes when its node's promise is due and not a moment
// sooner, however often the lease is renewed until then.
func TestReplacesWhenThePromiseIsDue(t *testing.T) {
	c := start(t)
	c.until("it is marked", func() bool { return plan.Marked(c.pod()) })
	uid := c.pod().UID
	c.renew(uid)
	must(t, c.Settle(2000))
	c.renew(uid) // the last one
	last := c.Now()
	must(t, c.Settle(2000))
	c.ready(corev1.ConditionUnknown)
	c.until("it says what it waits for", func() bool { return c.said() == plan.Awaiting })
	c.until("it is gone", func() bool { return c.pod() == nil })
	if took := c.Now().Sub(last); took < 40*time.Second+plan.Margin {
		t.Errorf("it went %s after the last renewal", took)
	}
	if trace := strings.Join(c.Trace(), "\n"); !strings.Contains(trace, "ReplacingLostPod") {
		t.Error(trace)
	}
}

// Without a promise for it a pod stays, and says why; a node that is back ends that.
func TestKeepsWhatNobodyPromised(t *testing.T) {
	c := start(t)
	c.renew("another")
	must(t, c.Settle(2000))
	c.ready(corev1.ConditionUnknown)
	c.until("it says why it stays", func() bool { return c.said() == plan.NotPromised })
	must(t, c.Settle(2000))
	if c.pod() == nil {
		t.Fatal("it was replaced")
	}
	if trace := strings.Join(c.Trace(), "\n"); !strings.Contains(trace, "NotReplaced") {
		t.Error(trace)
	}
	c.ready(corev1.ConditionTrue)
	c.until("it says nothing any more", func() bool { return c.said() == "" })
}

// A set that takes its wish back has its pods unmarked and kept.
func TestWishTakenBack(t *testing.T) {
	c := start(t)
	c.until("it is marked", func() bool { return plan.Marked(c.pod()) })
	c.renew(c.pod().UID)
	set := &appsv1.StatefulSet{}
	must(t, c.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, set))
	set = set.DeepCopy()
	set.Annotations = nil
	must(t, c.API().Update(t.Context(), set))
	c.until("it is not marked", func() bool { return !plan.Marked(c.pod()) })
	c.ready(corev1.ConditionUnknown)
	must(t, c.Settle(2000))
	if c.pod() == nil {
		t.Error("it was replaced")
	}
}
