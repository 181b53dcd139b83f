package daemonset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// toy is a world in which what is deleted goes at once and what is made comes to
// serve, a plan later.
type toy struct {
	Facts
	made, hashes int
}

func newToy() *toy {
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "log", Namespace: "ns"}}
	set.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "3"}
	set.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{
		Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromInt32(1))},
	}
	return &toy{Facts: Facts{Set: set, Hash: "hash-0", Now: now}}
}

// renew changes the template.
func (w *toy) renew() {
	w.hashes++
	w.Hash = fmt.Sprint("hash-", w.hashes)
	w.Set.Annotations[appsv1.DeprecatedTemplateGeneration] = fmt.Sprint(3 + w.hashes)
}

func (w *toy) pod(name, node string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", Labels: map[string]string{HashLabel: w.Hash}}}
	pod.CreationTimestamp = metav1.NewTime(w.Now)
	pod.Spec.NodeName = node
	pod.Status.Phase = corev1.PodPending
	return pod
}

func ready(pod *corev1.Pod, since time.Time) {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}
}

// carryOut does what a plan asks for and says what was done.
func (w *toy) carryOut(p Plan) []string {
	var done []string
	w.Backoff = p.Backoff
	for _, node := range p.Create {
		w.made++
		pod := w.pod(fmt.Sprint("made-", w.made), node)
		w.Pods = append(w.Pods, pod)
		done = append(done, fmt.Sprintf("%s on %s", pod.Name, node))
	}
	for _, gone := range p.Delete {
		w.Pods = slices.DeleteFunc(w.Pods, func(pod *corev1.Pod) bool { return pod == gone })
		done = append(done, "delete "+gone.Name)
	}
	return done
}

// settle carries plans out until there is nothing to do and to wait for.
func (w *toy) settle(limit int) (trace []string, rested bool) {
	for range limit {
		p := Decide(w.Facts)
		if done := w.carryOut(p); len(done) > 0 {
			trace = append(trace, strings.Join(done, ", "))
			continue
		}
		unready := slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return pod.Status.Phase != corev1.PodPending })
		for _, pod := range unready {
			ready(pod, w.Now)
		}
		w.Now = w.Now.Add(p.Again)
		if len(unready) == 0 && p.Again == 0 {
			return trace, true
		}
	}
	return trace, false
}
