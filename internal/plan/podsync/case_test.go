package podsync_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/golden"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/probe"
)

// TestCases plays the scripts in testdata. A line that begins with a space is
// output: what was done, what is waited for and what the status says.
//
//	pod [policy=Always] [grace=30] [deadline=60] [gate=x]
//	init|sidecar|container NAME [startup] [readiness] [liveness] [prestop]
//	run                      decide until nothing is left to do
//	after DURATION           let time pass, then run
//	exit NAME CODE           a container ends
//	verdict NAME KIND V      a probe decides
//	image NAME IMAGE         the pod's spec changes
//	fails NAME REASON | works NAME
//	volumes break|work       mounting fails or not
//	sandbox dies
//	forget                   the runtime loses all records
//	delete GRACE | vanish    the API deletes the pod, or does not know it
func TestCases(t *testing.T) { golden.Files(t, play) }

func play(t *testing.T, script string) string {
	var out strings.Builder
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "u0", Generation: 1}}
	var node *toy
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") {
			continue
		}
		out.WriteString(line + "\n")
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch words[0] {
		case "pod":
			describePod(t, pod, words[1:])
			continue
		case "init", "sidecar", "container":
			addContainer(pod, words)
			continue
		}
		if node == nil {
			node = newToy(pod)
		}
		if step(t, node, words) {
			show(&out, node)
		}
	}
	return out.String()
}

func describePod(t *testing.T, pod *corev1.Pod, words []string) {
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch key {
		case "policy":
			pod.Spec.RestartPolicy = corev1.RestartPolicy(value)
		case "grace":
			pod.Spec.TerminationGracePeriodSeconds = &n
		case "deadline":
			pod.Spec.ActiveDeadlineSeconds = &n
		case "gate":
			pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(value)})
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
}

func addContainer(pod *corev1.Pod, words []string) {
	c := corev1.Container{Name: words[1], Image: "demo:1"}
	for _, w := range words[2:] {
		switch w {
		case "startup":
			c.StartupProbe = &corev1.Probe{}
		case "readiness":
			c.ReadinessProbe = &corev1.Probe{}
		case "liveness":
			c.LivenessProbe = &corev1.Probe{}
		case "prestop":
			c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}}
		default:
			setRestart(&c, w)
		}
	}
	switch words[0] {
	case "container":
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	case "sidecar":
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
		fallthrough
	default:
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
}

// setRestart reads restart=POLICY, restarton=CODE and restartall=CODE.
func setRestart(c *corev1.Container, word string) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "resizerestart":
		c.ResizePolicy = append(c.ResizePolicy, corev1.ContainerResizePolicy{ResourceName: corev1.ResourceName(value), RestartPolicy: corev1.RestartContainer})
	case "restart":
		policy := corev1.ContainerRestartPolicy(value)
		c.RestartPolicy = &policy
	case "restartall":
		code, _ := strconv.ParseInt(value, 10, 32)
		if c.RestartPolicy == nil {
			never := corev1.ContainerRestartPolicyNever
			c.RestartPolicy = &never
		}
		c.RestartPolicyRules = []corev1.ContainerRestartRule{{
			Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{int32(code)}},
		}}
	case "restarton":
		code, _ := strconv.ParseInt(value, 10, 32)
		never := corev1.ContainerRestartPolicyNever
		c.RestartPolicy = &never
		c.RestartPolicyRules = []corev1.ContainerRestartRule{{
			Action:    corev1.ContainerRestartRuleActionRestart,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{int32(code)}},
		}}
	}
}

// step does one line; true when what follows from it is to be shown.
func step(t *testing.T, n *toy, words []string) bool {
	switch words[0] {
	case "run":
	case "after":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		n.Now = n.Now.Add(d)
	case "exit":
		code, _ := strconv.Atoi(words[2])
		n.exit(n.running(words[1]).ID, int32(code))
	case "verdict":
		id := n.running(words[1]).ID
		v := n.Probes[id]
		switch words[2] {
		case "startup":
			v.Startup = probe.Verdict(words[3])
		case "readiness":
			v.Readiness = probe.Verdict(words[3])
		case "liveness":
			v.Liveness = probe.Verdict(words[3])
		}
		n.Probes[id] = v
	case "image":
		n.Pod = n.Pod.DeepCopy()
		n.spec(words[1]).Image = words[2]
	case "resize":
		n.Pod = n.Pod.DeepCopy()
		n.Pod.Generation++
		n.spec(words[1]).Resources.Limits = corev1.ResourceList{corev1.ResourceName(words[2]): resource.MustParse(words[3])}
		n.Resize = podsync.Resize{Progress: &podsync.ResizeState{Generation: n.Pod.Generation}}
	case "pending":
		n.Resize.Pending = &podsync.ResizeState{Reason: words[1], Message: "no room"}
	case "fails":
		n.failing[words[1]] = words[2]
		return false
	case "works":
		delete(n.failing, words[1])
		return false
	case "volumes":
		n.broken = words[1] == "break"
		return false
	case "sandbox":
		n.kill(n.sandbox().ID)
	case "forget":
		n.Sandboxes, n.Containers = nil, nil
	case "delete":
		grace, _ := strconv.ParseInt(words[1], 10, 64)
		n.delete(grace)
	case "vanish":
		n.Absent = true
	default:
		t.Fatalf("unknown line %q", words)
	}
	return true
}

func show(out *strings.Builder, n *toy) {
	n.log = nil
	plan := n.settle()
	for _, line := range n.log {
		fmt.Fprintf(out, "  %s\n", line)
	}
	for _, h := range plan.Holds {
		fmt.Fprintf(out, "  hold %s %s until %v: %s\n", h.Container, h.Reason, h.Until.Sub(epoch), h.Message)
	}
	if !plan.Again.IsZero() {
		fmt.Fprintf(out, "  again %v\n", plan.Again.Sub(epoch))
	}
	s := plan.Status
	fmt.Fprintf(out, "  phase %s%s", s.Phase, parenthesis(s.Reason))
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue {
			fmt.Fprintf(out, " %s", c.Type)
		} else {
			fmt.Fprintf(out, " -%s%s", c.Type, parenthesis(c.Reason))
		}
	}
	out.WriteString("\n")
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for _, c := range list {
			fmt.Fprintf(out, "  %s %s restarts=%d", c.Name, stateOf(c.State), c.RestartCount)
			if c.LastTerminationState.Terminated != nil {
				fmt.Fprintf(out, " last=%s", stateOf(c.LastTerminationState))
			}
			if c.Started != nil && *c.Started {
				out.WriteString(" started")
			}
			if c.Ready {
				out.WriteString(" ready")
			}
			out.WriteString("\n")
		}
	}
	if plan.Over {
		out.WriteString("  over\n")
	}
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func stateOf(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return fmt.Sprintf("terminated(%s,%d)", s.Terminated.Reason, s.Terminated.ExitCode)
	case s.Waiting != nil:
		return "waiting(" + s.Waiting.Reason + ")"
	default:
		return "unknown"
	}
}

var _ = podsync.Decide
