package nodelife_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/nodelife"
	"berth.dev/berth/internal/controller/podgc"
)

// tenant makes a pod on the node that tolerates what ails it for so long.
func (c cluster) tenant(name string, seconds int64) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To(seconds),
		})
	}
	c.Create(pod)
}

// leaves reports whether the pod is to go, and why it says so.
func (c cluster) leaves(name string) (bool, string) {
	c.t.Helper()
	pod := &corev1.Pod{}
	must(c.t, c.API().Get(c.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, pod))
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.DisruptionTarget {
			return pod.DeletionTimestamp != nil, cond.Reason + ": " + cond.Message
		}
	}
	return pod.DeletionTimestamp != nil, ""
}

// Pods of a silent node leave when their tolerations run out; those that it still
// has when it comes back stay.
func TestPodsLeaveASilentNode(t *testing.T) {
	c := startWithWell(t, nodelife.Loop(), nodelife.EvictionLoop())
	c.sayReady()
	c.renew()
	c.tenant("soon", 20)
	c.tenant("late", 300)
	c.until("the taints", func() bool { return len(c.node().Spec.Taints) == 2 })
	tainted := c.Now()
	c.until("the first to leave", func() bool { gone, _ := c.leaves("soon"); return gone })
	if took := c.Now().Sub(tainted); took < 20*time.Second || took > 25*time.Second {
		t.Errorf("it left after %s", took)
	}
	if _, why := c.leaves("soon"); why != "DeletionByTaintManager: Taint manager: deleting due to NoExecute taint" {
		t.Errorf("it says %q", why)
	}
	c.renew()
	c.sayReady()
	said := func(what string) bool { return strings.Contains(strings.Join(c.Trace(), "\n"), what) }
	c.until("the other one to be let alone", func() bool {
		return said("event TaintManagerEviction: Cancelling deletion of Pod default/late")
	})
	if gone, _ := c.leaves("late"); gone || !said("event TaintManagerEviction: Marking for deletion Pod default/soon") {
		t.Error("the second one left as well, or the first was not told of")
	}
}

// Where no node is ready, pods are not better off elsewhere.
func TestPodsStayWhenAllIsLost(t *testing.T) {
	c := start(t, nodelife.Loop(), nodelife.EvictionLoop())
	c.sayReady()
	c.renew()
	c.tenant("p", 20)
	must(t, c.Settle(2000))
	if gone, _ := c.leaves("p"); gone {
		t.Error("the pod left the only node")
	}
	if taints := c.node().Spec.Taints; len(taints) != 1 || taints[0].Effect != corev1.TaintEffectNoSchedule {
		t.Errorf("taints %v", taints)
	}
}

// A taint that nobody tolerates is obeyed at once, and what is left of a node
// that is down for good is not waited for.
func TestPodsOfANodeOutOfService(t *testing.T) {
	c := start(t, nodelife.EvictionLoop(), podgc.Loop(0))
	c.tenant("p", 20)
	n := c.node()
	n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}}
	must(t, c.API().Update(t.Context(), n))
	begun := c.Now()
	c.until("the pod to be gone", func() bool {
		return apierrors.IsNotFound(c.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "p"}, &corev1.Pod{}))
	})
	if took := c.Now().Sub(begun); took > time.Second {
		t.Errorf("it was waited for, %s", took)
	}
}
