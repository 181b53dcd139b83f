package why

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/nodeloss"
)

// node says what is wrong with the node that a pod was given to.
func (f *Facts) node(pod *corev1.Pod) []Answer {
	node, ok := named(f.Nodes, pod.Spec.NodeName)
	if !ok {
		if f.Nodes == nil {
			return nil // not read
		}
		a := Answer{
			Reason: NodeMissing, Object: ref(pod), Since: at(pod.CreationTimestamp.Time), Passes: Yes,
			Sentence: fmt.Sprintf("pod %s is on node %s, which does not exist: it is removed 40 seconds after that was noticed", pod.Name, pod.Spec.NodeName),
			Next:     f.command("get pod %s --watch", pod.Name),
		}
		if f.templateNode(pod) == pod.Spec.NodeName {
			a.Passes, a.Next = No, f.fixTemplate(pod)
			a.Sentence += ", and comes back the same: its template says nodeName"
		}
		return []Answer{a}
	}
	ready := nodeCondition(node, corev1.NodeReady)
	if ready == nil || ready.Status != corev1.ConditionTrue {
		a := Answer{
			Reason: NodeNotReady, Object: ref(pod), Passes: Unknown,
			Sentence: fmt.Sprintf("pod %s is on node %s, which has never been ready", pod.Name, node.Name),
			Next:     f.global("describe node %s", node.Name),
		}
		if ready != nil {
			a.Since = at(ready.LastTransitionTime.Time)
			a.Sentence = fmt.Sprintf("pod %s is on node %s, which is not ready%s", pod.Name, node.Name, because(ready.Reason, ready.Message))
			if ready.Status == corev1.ConditionUnknown {
				a.Sentence = fmt.Sprintf("pod %s is on node %s, which is not heard from%s", pod.Name, node.Name, because(ready.Reason, ready.Message))
				f.replaced(&a, pod)
			}
		}
		return []Answer{a}
	}
	if isReady(pod) {
		return nil
	}
	return f.pressure(pod, node)
}

// replaced is what becomes of a pod of a set that wants its pods replaced when
// their node is lost.
func (f *Facts) replaced(a *Answer, pod *corev1.Pod) {
	said := nodeloss.Said(pod)
	if said == nil {
		return
	}
	a.Sentence = fmt.Sprintf("pod %s is to be replaced when its node is lost (berth.dev/node-loss): %s", pod.Name, said.Message)
	if said.Status == corev1.ConditionTrue {
		a.Passes, a.Next = Yes, f.command("get pod %s --watch", pod.Name)
		return
	}
	a.Passes, a.Next = No, f.global("delete node %s", pod.Spec.NodeName)+"   # only when the machine is certainly off"
}

// pressure is a shortage on the node of a pod that is not ready.
func (f *Facts) pressure(pod *corev1.Pod, node *corev1.Node) []Answer {
	for _, kind := range []corev1.NodeConditionType{corev1.NodeDiskPressure, corev1.NodeMemoryPressure, corev1.NodePIDPressure} {
		if c := nodeCondition(node, kind); c != nil && c.Status == corev1.ConditionTrue {
			return []Answer{{
				Reason: NodePressure, Object: ref(pod), Since: at(c.LastTransitionTime.Time), Passes: Unknown,
				Sentence: fmt.Sprintf("pod %s is on node %s, which has %s%s", pod.Name, node.Name, c.Type, because(c.Reason, c.Message)),
				Next:     f.global("describe node %s", node.Name),
			}}
		}
	}
	return nil
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// terminating says what a pod that is being deleted waits for.
func (f *Facts) terminating(pod *corev1.Pod) []Answer {
	// The timestamp is when the grace period ends, not when it began.
	end, begun := pod.DeletionTimestamp.Time, pod.DeletionTimestamp.Time
	if g := pod.DeletionGracePeriodSeconds; g != nil {
		begun = end.Add(-time.Duration(*g) * time.Second)
	}
	a := Answer{Object: ref(pod), Since: at(begun)}
	node, known := named(f.Nodes, pod.Spec.NodeName)
	ready := (*corev1.NodeCondition)(nil)
	if known {
		ready = nodeCondition(node, corev1.NodeReady)
	}
	switch {
	case pod.Spec.NodeName != "" && known && ready != nil && ready.Status == corev1.ConditionUnknown:
		a.Reason, a.Passes = NodeSilent, No
		a.Sentence = fmt.Sprintf("pod %s is terminating on node %s, which is not heard from since %s: nobody knows whether its containers still run, so it keeps its name until the node is back, is deleted or is said to be out of service",
			pod.Name, node.Name, ready.LastTransitionTime.UTC().Format(time.RFC3339))
		a.Next = f.global("delete node %s", node.Name) + "   # only when the machine is certainly off"
		f.replaced(&a, pod)
	case end.After(f.Now):
		a.Reason, a.Passes = Terminating, Yes
		a.Sentence = fmt.Sprintf("pod %s is being stopped; its grace period ends in %s", pod.Name, end.Sub(f.Now).Round(time.Second))
		a.Next = f.command("get pod %s --watch", pod.Name)
	case len(pod.Finalizers) > 0:
		a = f.finalizer("pod", pod.Name, pod.Finalizers, end)
	case pod.Spec.NodeName != "" && !known && f.Nodes != nil:
		a.Reason, a.Passes = Terminating, Yes
		a.Sentence = fmt.Sprintf("pod %s is terminating on node %s, which does not exist: it is removed 40 seconds after that was noticed", pod.Name, pod.Spec.NodeName)
		a.Next = f.command("get pod %s --watch", pod.Name)
	default:
		a.Reason, a.Passes = Terminating, Yes
		a.Sentence = fmt.Sprintf("pod %s is terminating; node %s has not said yet that its containers are gone", pod.Name, pod.Spec.NodeName)
		a.Next = f.command("describe pod %s", pod.Name)
		if f.Now.Sub(end) > staleAfter {
			a.Passes = Unknown
		}
	}
	return []Answer{a}
}

// finalizer says which finalizers keep a deleted object.
func (f *Facts) finalizer(kind, name string, finalizers []string, since time.Time) Answer {
	return Answer{
		Reason: FinalizerKeeps, Object: kind + "/" + name, Since: at(since), Passes: Unknown,
		Sentence: fmt.Sprintf("%s %s is deleted and kept by its finalizers: %s", kind, name, list(finalizers)),
		Next:     f.command(`patch %s %s --type=merge -p '{"metadata":{"finalizers":null}}'`, kind, name) + "   # only when their owner is gone",
	}
}
