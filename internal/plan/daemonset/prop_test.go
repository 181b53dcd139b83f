package daemonset

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/podready"
)

// bad is a world in which nodes change, pods fail and go slowly, and some of
// what a plan asks for is refused.
type bad struct {
	*toy
	t *rapid.T
}

func drawBad(t *rapid.T) bad {
	w := bad{newToy(), t}
	r := w.Set.Spec.UpdateStrategy.RollingUpdate
	switch n := rapid.IntRange(1, 4).Draw(t, "allowed"); {
	case rapid.Bool().Draw(t, "surges"):
		r.MaxUnavailable, r.MaxSurge = ptr.To(intstr.FromInt32(0)), ptr.To(intstr.FromInt(n))
	case rapid.Bool().Draw(t, "percent"):
		r.MaxUnavailable = ptr.To(intstr.FromString(fmt.Sprint(25*n, "%")))
	default:
		r.MaxUnavailable = ptr.To(intstr.FromInt(n))
	}
	w.Set.Spec.MinReadySeconds = rapid.Int32Range(0, 2).Draw(t, "min")
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		w.Nodes = append(w.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}})
	}
	return w
}

// serving are the nodes that are to have a pod and have one that serves and is
// not going; wanted are all that are to have one.
func (w bad) serving() (serving, wanted int) {
	for _, s := range w.sites() {
		if !s.run {
			continue
		}
		wanted++
		if slices.ContainsFunc(s.pods, func(p *corev1.Pod) bool { return p.DeletionTimestamp == nil && w.available(p) }) {
			serving++
		}
	}
	return serving, wanted
}

// live are the pods of each node that have not ended.
func (w bad) live() map[string]int {
	n := map[string]int{}
	for _, pod := range w.Pods {
		if !podready.Ended(pod) {
			n[NodeOf(pod)]++
		}
	}
	return n
}

// look carries a plan out, or part of it; pods only begin to go.
func (w bad) look() {
	before, wanted := w.serving()
	p := Decide(w.Facts)
	w.Backoff = p.Backoff
	surge, unavailable := w.bounds(w.sites())
	for _, pod := range p.Delete {
		if pod.DeletionTimestamp != nil {
			w.t.Fatalf("%s is deleted twice", pod.Name)
		}
		if rapid.IntRange(0, 4).Draw(w.t, "refused") > 0 {
			pod.DeletionTimestamp = ptr.To(metav1.NewTime(w.Now))
		}
	}
	for _, node := range p.Create {
		if rapid.IntRange(0, 4).Draw(w.t, "refused") > 0 {
			w.made++
			w.Pods = append(w.Pods, w.pod(fmt.Sprint("made-", w.made), node))
		}
	}
	if after, _ := w.serving(); surge > 0 && after < before || surge == 0 && after < min(before, wanted-unavailable) {
		w.t.Fatalf("of %d nodes %d served, now %d; %d may not, %d may have a second pod", wanted, before, after, unavailable, surge)
	}
}

// happen lets something happen to a pod or a node.
func (w bad) happen() {
	t := w.t
	if rapid.IntRange(0, 5).Draw(t, "to a node") == 0 {
		n := rapid.SampledFrom(w.Nodes).Draw(t, "node").DeepCopy()
		n.Spec.Taints = nil
		if effect := rapid.SampledFrom([]corev1.TaintEffect{"", "", "NoSchedule", "NoExecute"}).Draw(t, "taint"); effect != "" {
			n.Spec.Taints = []corev1.Taint{{Key: "own", Effect: effect}}
		}
		for i := range w.Nodes {
			if w.Nodes[i].Name == n.Name {
				w.Nodes[i] = n
			}
		}
		return
	}
	if len(w.Pods) == 0 {
		return
	}
	pod := rapid.SampledFrom(w.Pods).Draw(t, "pod")
	switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
	case podready.Ended(pod) || pod.DeletionTimestamp != nil:
		w.vanish(pod)
	case what < 4:
		ready(pod, w.Now)
	default:
		pod.Status.Phase, pod.Status.Conditions = corev1.PodFailed, nil
	}
}

func (w bad) vanish(pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil {
		w.Pods = slices.DeleteFunc(w.Pods, func(p *corev1.Pod) bool { return p == pod })
	}
}

// However nodes and pods fare: a rollout never takes more nodes out of service
// than it may, there is never more than one pod on a node, or two with surge, and
// in the end each node that is to have a pod has one of the newest template that
// serves, no other has one, and nothing is asked for.
func TestDaemonsHoldWhatIsPromised(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawBad(t)
		most := 1
		if w.surges() {
			most = 2
		}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.renew()
			case 1:
				w.Now = w.Now.Add(time.Second)
			case 2, 3, 4:
				w.look()
			default:
				w.happen()
			}
			for node, n := range w.live() {
				going := 0
				for _, pod := range w.Pods {
					if NodeOf(pod) == node && pod.DeletionTimestamp != nil && !podready.Ended(pod) {
						going++
					}
				}
				if n > most && (most == 1 || n-going > most) {
					t.Fatalf("%d pods on %s, %d of them are going", n, node, going)
				}
			}
		}
		for i := range w.Nodes {
			w.Nodes[i] = w.Nodes[i].DeepCopy()
			if len(w.Nodes[i].Spec.Taints) > 0 && w.Nodes[i].Spec.Taints[0].Effect == "NoSchedule" {
				w.Nodes[i].Spec.Taints = nil
			}
		}
		for _, pod := range slices.Clone(w.Pods) {
			w.vanish(pod)
		}
		if trace, rested := w.settle(200); !rested {
			t.Fatalf("does not rest: %v", trace)
		}
		serving, wanted := w.serving()
		s := Status(w.Facts)
		if serving != wanted || len(w.Pods) != wanted || int(s.UpdatedNumberScheduled) != wanted || int(s.NumberAvailable) != wanted || s.NumberMisscheduled != 0 {
			t.Fatalf("%d nodes are to have a pod, %d pods, status %s", wanted, len(w.Pods), say(s))
		}
	})
}
