package nodeloss

import (
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/plan/statefulset/options"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func pod(marked bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "u"}, Spec: corev1.PodSpec{NodeName: "two"}}
	if marked {
		p.Annotations = map[string]string{options.NodeLoss: options.Replace}
	}
	return p
}

func node(ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "two"},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
	}
}

func TestDecide(t *testing.T) {
	promise := Promise{After: 40 * time.Second, Pods: []types.UID{"u"}}
	for _, x := range []struct {
		name  string
		state State
		want  Plan
		says  string
	}{
		{"a pod of a set that asks for nothing", State{Pod: pod(false), Node: node("Unknown"), Promise: promise, Heard: epoch}, Plan{}, ""},
		{"a new pod of one that does", State{Pod: pod(false), Wanted: true}, Plan{Mark: true}, ""},
		{"the wish is taken back", State{Pod: pod(true), Node: node("Unknown"), Promise: promise, Heard: epoch}, Plan{Unmark: true}, ""},
		{"its node is well", State{Pod: pod(true), Wanted: true, Node: node("True"), Promise: promise, Heard: epoch}, Plan{}, ""},
		{"its node says that it is not ready, so it speaks", State{Pod: pod(true), Wanted: true, Node: node("False"), Promise: promise, Heard: epoch}, Plan{}, ""},
		{"its node is gone from the API", State{Pod: pod(true), Wanted: true, Promise: promise, Heard: epoch}, Plan{}, ""},
		{"its node has promised nothing", State{Pod: pod(true), Wanted: true, Node: node("Unknown"), Heard: epoch}, Plan{}, NotPromised},
		{"nor for this pod", State{Pod: pod(true), Wanted: true, Node: node("Unknown"), Promise: Promise{After: 1, Pods: []types.UID{"v"}}, Heard: epoch}, Plan{}, NotPromised},
		{"and was never heard", State{Pod: pod(true), Wanted: true, Node: node("Unknown"), Promise: promise}, Plan{}, NotPromised},
		{"the fence may not have struck yet", State{Pod: pod(true), Wanted: true, Node: node("Unknown"), Promise: promise, Heard: epoch.Add(-40 * time.Second)}, Plan{Again: Margin}, Awaiting},
		{"it has", State{Pod: pod(true), Wanted: true, Node: node("Unknown"), Promise: promise, Heard: epoch.Add(-45 * time.Second)}, Plan{Replace: true}, Replacing},
	} {
		t.Run(x.name, func(t *testing.T) {
			x.state.Now = epoch
			got := Decide(x.state)
			said := ""
			if got.Condition != nil {
				said = got.Condition.Reason
			}
			got.Condition = nil
			if got != x.want || said != x.says {
				t.Errorf("%+v, says %q; want %+v, %q", got, said, x.want, x.says)
			}
		})
	}
}

// Whenever a pod is replaced, its node has promised that it is dead by then, by
// any clock that runs less than a tenth too slow.
func TestReplacesOnlyTheDead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(20, 50).Draw(t, "after")) * time.Second
		sent := time.Duration(rapid.IntRange(0, 1e6).Draw(t, "sent")) * time.Millisecond
		noticed := sent + time.Duration(rapid.IntRange(0, 1e5).Draw(t, "late"))*time.Millisecond
		now := noticed + time.Duration(rapid.IntRange(0, 1e5).Draw(t, "passed"))*time.Millisecond
		s := State{
			Pod: pod(rapid.Bool().Draw(t, "marked")), Wanted: rapid.Bool().Draw(t, "wanted"), Node: node(rapid.SampledFrom([]corev1.ConditionStatus{"True", "False", "Unknown"}).Draw(t, "ready")),
			Promise: Promise{After: after, Pods: rapid.SliceOf(rapid.SampledFrom([]types.UID{"u", "v", "w"})).Draw(t, "promised")},
			Heard:   epoch.Add(noticed), Now: epoch.Add(now),
		}
		if !Decide(s).Replace {
			return
		}
		dead := sent + after + after/10
		if !slices.Contains(s.Promise.Pods, "u") || now < min(dead, sent+after+Margin) || !s.Wanted {
			t.Fatalf("replaced at %s, promised for %s: %+v", now, dead, s)
		}
	})
}

func TestPromise(t *testing.T) {
	p := Promise{After: 40 * time.Second, Pods: []types.UID{"a", "b"}}
	if got, want := p.String(), `{"after":"40s","pods":["a","b"]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	lease := &coordinationv1.Lease{}
	for text, n := range map[string]int{
		p.String(): 2, "": 0, "{": 0, `{"after":"-1s","pods":["a"]}`: 0, `{"after":"x","pods":["a"]}`: 0, `{"pods":["a"]}`: 0,
	} {
		lease.Annotations = map[string]string{LeaseAnnotation: text}
		if got := Read(lease); len(got.Pods) != n || n > 0 && got.After != p.After {
			t.Errorf("%s: %+v", text, got)
		}
	}
	if got := Read(nil); len(got.Pods) != 0 {
		t.Errorf("no lease: %+v", got)
	}
}

func TestSay(t *testing.T) {
	p := pod(true)
	c := &corev1.PodCondition{Type: Condition, Status: corev1.ConditionTrue, Reason: Awaiting}
	other := &corev1.PodCondition{Type: Condition, Status: corev1.ConditionTrue, Reason: Replacing}
	for i, x := range []struct {
		want    *corev1.PodCondition
		changes bool
	}{{nil, false}, {c, true}, {c, false}, {other, true}, {nil, true}, {nil, false}} {
		if got := Say(p, x.want, epoch); got != x.changes {
			t.Errorf("step %d: %v", i, got)
		}
		if said := Said(p); (said == nil) != (x.want == nil) || said != nil && said.Reason != x.want.Reason {
			t.Errorf("step %d: %+v", i, said)
		}
	}
}
