package replicaset

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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestCases runs the stories in testdata:
//
//	set replicas=3 [min=10] [deleting]
//	  NAME [node=a] [phase=Pending] [ready=10s] [age=1h] [cost=5] [restarts=2] [sidecar=3] [terminating] [unlabeled] [sibling]
//	plan                      what Decide asks for
//	status [failed=TEXT] [waiting]   what the status says after that
func TestCases(t *testing.T) { golden.Stories(t, begin) }

func begin(t *testing.T) golden.Teller {
	var f Facts
	return func(command, words string, input []string) string {
		t.Helper()
		switch command {
		case "set":
			f = parse(t, words, input)
		case "plan":
			return describe(Decide(f))
		case "status":
			o := Outcome{Waiting: words == "waiting"}
			o.Failure, _ = strings.CutPrefix(words, "failed=")
			if o.Waiting {
				o.Failure = ""
			}
			f.Set.Status = Status(f, Decide(f), o)
			return say(f.Set.Status)
		default:
			t.Fatalf("unknown command %q", command)
		}
		return ""
	}
}

func describe(p Plan) string {
	var words []string
	if p.Create > 0 {
		words = append(words, fmt.Sprintf("create %d", p.Create))
	}
	for _, pod := range p.Delete {
		words = append(words, "delete "+pod.Name)
	}
	if p.Again > 0 {
		words = append(words, "again in "+p.Again.String())
	}
	if words == nil {
		return "nothing"
	}
	return strings.Join(words, "\n")
}

func say(s appsv1.ReplicaSetStatus) string {
	text := fmt.Sprintf("%d replicas, %d fully labeled, %d ready, %d available, %d terminating",
		s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas, *s.TerminatingReplicas)
	for _, c := range s.Conditions {
		text += fmt.Sprintf("\n%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

func parse(t *testing.T, line string, pods []string) Facts {
	t.Helper()
	f := Facts{Now: now, Set: &appsv1.ReplicaSet{}}
	f.Set.Name = "web"
	f.Set.Spec.Template.Labels = map[string]string{"app": "web"}
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "replicas":
			f.Set.Spec.Replicas = ptr.To(int32(n))
		case "min":
			f.Set.Spec.MinReadySeconds = int32(n)
		case "deleting":
			f.Set.DeletionTimestamp = &metav1.Time{Time: now}
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	for _, line := range pods {
		pod, sibling := parsePod(t, line)
		f.Related = append(f.Related, pod)
		if !sibling {
			f.Pods = append(f.Pods, pod)
		}
	}
	return f
}

func parsePod(t *testing.T, line string) (pod *corev1.Pod, sibling bool) {
	t.Helper()
	words := strings.Fields(line)
	pod = &corev1.Pod{}
	pod.Name, pod.UID = words[0], types.UID("uid-"+words[0])
	pod.Labels = map[string]string{"app": "web"}
	pod.Status.Phase = corev1.PodRunning
	pod.Spec.NodeName = "n-" + words[0]
	pod.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour))
	ago := func(value string) metav1.Time {
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		return metav1.NewTime(now.Add(-d))
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "node":
			pod.Spec.NodeName = value
		case "phase":
			pod.Status.Phase = corev1.PodPhase(value)
		case "ready":
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(value)}}
		case "age":
			pod.CreationTimestamp = ago(value)
		case "cost":
			pod.Annotations = map[string]string{corev1.PodDeletionCost: value}
		case "restarts":
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", RestartCount: int32(n)}}
		case "sidecar":
			pod.Spec.InitContainers = []corev1.Container{{Name: "s", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "s", RestartCount: int32(n)}}
		case "terminating":
			pod.DeletionTimestamp = &metav1.Time{Time: now}
		case "unlabeled":
			pod.Labels = nil
		case "sibling":
			sibling = true
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return pod, sibling
}
