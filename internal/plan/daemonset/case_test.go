package daemonset

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/golden"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// TestCases runs the stories in testdata:
//
//	set [unavailable=1] [surge=50%] [ondelete] [min=10] [selector=KEY:VALUE] [affinity=NODE] [node=NAME] [hostnetwork] [tolerates=KEY:EFFECT]
//	  NODE [KEY:VALUE] [taint=KEY:EFFECT] [missing] [| POD [new] [ready=10s] [phase=Failed] [terminating] [unbound] [age=1h]] ...
//	change WORDS   changes the set; "change new" makes all pods ones of an older template
//	plan           what Decide asks for
//	status         what the status says
//	wait 10s       lets time pass
//	run            carries plans out in a toy world until it rests
func TestCases(t *testing.T) { golden.Stories(t, begin) }

func begin(t *testing.T) golden.Teller {
	w := &toy{}
	return func(command, words string, input []string) string {
		t.Helper()
		switch command {
		case "set":
			w = newToy()
			change(t, w, words)
			for _, line := range input {
				addNode(t, w, line)
			}
		case "change":
			change(t, w, words)
		case "plan":
			p := Decide(w.Facts)
			w.Backoff = p.Backoff
			return describe(p)
		case "status":
			return say(Status(w.Facts))
		case "wait":
			w.Now = w.Now.Add(duration(t, words))
		case "run":
			trace, rested := w.settle(100)
			if !rested {
				t.Fatalf("never rests: %v", trace)
			}
			return strings.Join(append(trace, say(Status(w.Facts))), "\n")
		default:
			t.Fatalf("unknown command %q", command)
		}
		return ""
	}
}

func describe(p Plan) string {
	var lines []string
	if len(p.Create) > 0 {
		lines = append(lines, "create on "+strings.Join(p.Create, " "))
	}
	for _, pod := range p.Delete {
		lines = append(lines, "delete "+pod.Name)
	}
	for _, e := range p.Events {
		lines = append(lines, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Message))
	}
	if p.Again > 0 {
		lines = append(lines, "again in "+p.Again.String())
	}
	if lines == nil {
		return "nothing"
	}
	return strings.Join(lines, "\n")
}

func say(s appsv1.DaemonSetStatus) string {
	return fmt.Sprintf("%d desired, %d current, %d ready, %d up to date, %d available, %d unavailable, %d misscheduled",
		s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberReady, s.UpdatedNumberScheduled, s.NumberAvailable, s.NumberUnavailable, s.NumberMisscheduled)
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func change(t *testing.T, w *toy, line string) {
	t.Helper()
	spec := &w.Set.Spec
	template := &spec.Template.Spec
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		first, second, _ := strings.Cut(value, ":")
		switch key {
		case "unavailable", "surge":
			r := &appsv1.RollingUpdateDaemonSet{}
			n := ptr.To(intstr.Parse(value))
			if r.MaxUnavailable = n; key == "surge" {
				r.MaxUnavailable, r.MaxSurge = ptr.To(intstr.FromInt32(0)), n
			}
			spec.UpdateStrategy.RollingUpdate = r
		case "ondelete":
			spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
		case "min":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			spec.MinReadySeconds = int32(n)
		case "selector":
			template.NodeSelector = map[string]string{first: second}
		case "affinity":
			template.Affinity = pinned(nil, value)
		case "node":
			template.NodeName = value
		case "hostnetwork":
			template.HostNetwork = true
		case "tolerates":
			template.Tolerations = append(template.Tolerations, corev1.Toleration{Key: first, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffect(second)})
		case "taint":
			for _, n := range w.Nodes {
				n.Spec.Taints = []corev1.Taint{{Key: first, Effect: corev1.TaintEffect(second)}}
			}
		case "new":
			w.renew()
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
}

func addNode(t *testing.T, w *toy, line string) {
	t.Helper()
	parts := strings.Split(line, "|")
	words := strings.Fields(parts[0])
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: words[0], Labels: map[string]string{}}}
	missing := false
	for _, word := range words[1:] {
		key, value, taint := strings.Cut(word, "=")
		switch {
		case word == "missing":
			missing = true
		case taint && key == "taint":
			k, effect, _ := strings.Cut(value, ":")
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: k, Effect: corev1.TaintEffect(effect)})
		default:
			k, v, _ := strings.Cut(word, ":")
			node.Labels[k] = v
		}
	}
	if !missing {
		w.Nodes = append(w.Nodes, node)
	}
	for _, part := range parts[1:] {
		w.Pods = append(w.Pods, parsePod(t, w, node.Name, part))
	}
}

func parsePod(t *testing.T, w *toy, node, text string) *corev1.Pod {
	t.Helper()
	words := strings.Fields(text)
	pod := w.pod(words[0], node)
	pod.Labels[HashLabel] = "older"
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "new":
			pod.Labels[HashLabel] = w.Hash
		case "generation":
			pod.Labels[generationLabel] = value
		case "ready":
			ready(pod, w.Now.Add(-duration(t, value)))
		case "phase":
			pod.Status.Phase = corev1.PodPhase(value)
		case "terminating":
			pod.DeletionTimestamp = ptr.To(metav1.NewTime(w.Now))
		case "unbound":
			pod.Spec.Affinity, pod.Spec.NodeName = pinned(nil, pod.Spec.NodeName), ""
		case "alone":
			pod.Spec.NodeName = ""
		case "age":
			pod.CreationTimestamp = metav1.NewTime(w.Now.Add(-duration(t, value)))
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return pod
}
