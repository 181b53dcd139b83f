package autoscale

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/golden"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// TestCases runs the stories in testdata:
//
//	hpa REPLICAS            a new autoscaler; its spec in YAML
//	pods REPLICAS           what there is now, one pod a line:
//	  NAME USE [request=500m] [unready] [pending] [failed] [deleting] [age=1h] [since=1h] [window=30s]
//	    USE is in any unit, or "-" if nothing was measured
//	values N...             an object's or external metric, instead of the pods'
//	error METRIC WORDS      the metric of that index cannot be read
//	selector WORDS          the scale's selector; rivals NAME... select the pods too
//	later DURATION
//	plan [refused]          the decision; what it asks for is done
func TestCases(t *testing.T) { golden.Stories(t, begin) }

// story is what is known at one point of a story.
type story struct {
	t       *testing.T
	facts   Facts
	pods    map[string]Value
	values  []int64
	failing map[int]error
}

func begin(t *testing.T) golden.Teller { return (&story{t: t}).do }

func (s *story) do(command, words string, lines []string) string {
	s.t.Helper()
	switch command {
	case "hpa":
		hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
		s.must(yaml.UnmarshalStrict([]byte(strings.Join(lines, "\n")), &hpa.Spec))
		*s = story{t: s.t, facts: Facts{HPA: hpa, Settings: Defaults, Now: now, Scale: &autoscalingv1.Scale{}}, failing: map[int]error{}}
		s.facts.Scale.Status.Selector = "app=web"
		s.facts.Autoscalers = []types.NamespacedName{{Namespace: "default", Name: "web"}}
		s.replicas(words)
	case "spec":
		spec := autoscalingv2.HorizontalPodAutoscalerSpec{}
		s.must(yaml.UnmarshalStrict([]byte(strings.Join(lines, "\n")), &spec))
		s.facts.HPA.Spec = spec
	case "pods":
		s.replicas(words)
		s.facts.Pods, s.pods = nil, map[string]Value{}
		for _, line := range lines {
			s.pod(line)
		}
	case "values":
		s.values = nil
		for _, word := range strings.Fields(words) {
			q := resource.MustParse(word)
			s.values = append(s.values, q.MilliValue())
		}
	case "error":
		index, why, _ := strings.Cut(words, " ")
		i, err := strconv.Atoi(index)
		s.must(err)
		s.failing[i] = errors.New(why)
	case "selector":
		s.facts.Scale.Status.Selector = words
	case "rivals":
		for _, name := range strings.Fields(words) {
			s.facts.Autoscalers = append(s.facts.Autoscalers, types.NamespacedName{Namespace: "default", Name: name})
		}
	case "later":
		d, err := time.ParseDuration(words)
		s.must(err)
		s.facts.Now = s.facts.Now.Add(d)
	case "plan":
		return s.plan(words)
	default:
		s.t.Fatalf("unknown command %q", command)
	}
	return ""
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) replicas(words string) {
	s.t.Helper()
	n, err := strconv.Atoi(words)
	s.must(err)
	s.facts.Scale.Spec.Replicas, s.facts.Scale.Status.Replicas = int32(n), int32(n)
}

// pod reads one line.
func (s *story) pod(line string) {
	s.t.Helper()
	words := strings.Fields(line)
	at := func(ago string) *metav1.Time {
		d, err := time.ParseDuration(ago)
		s.must(err)
		return &metav1.Time{Time: s.facts.Now.Add(-d)}
	}
	request, age, since, window := "1", "1h", "1h", "30s"
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0]}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	ready := corev1.ConditionTrue
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "unready":
			ready = corev1.ConditionFalse
		case "pending":
			pod.Status.Phase = corev1.PodPending
		case "failed":
			pod.Status.Phase = corev1.PodFailed
		case "deleting":
			pod.DeletionTimestamp = at("1s")
		case "request":
			request = value
		case "age":
			age = value
		case "since":
			since = value
		case "window":
			window = value
		default:
			s.t.Fatalf("unknown word %q", word)
		}
	}
	container := corev1.Container{Name: "nginx"}
	if request != "none" {
		q := resource.MustParse(request)
		container.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: q, corev1.ResourceMemory: q}
	}
	pod.Spec.Containers = []corev1.Container{container}
	pod.Status.StartTime = at(age)
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: *at(since)}}
	s.facts.Pods = append(s.facts.Pods, pod)
	if words[1] != "-" {
		q := resource.MustParse(words[1])
		d, err := time.ParseDuration(window)
		s.must(err)
		s.pods[pod.Name] = Value{Milli: q.MilliValue(), Time: s.facts.Now, Window: d}
	}
}

func (s *story) plan(words string) string {
	s.facts.Measured = nil
	for i := range s.facts.HPA.Spec.Metrics {
		s.facts.Measured = append(s.facts.Measured, Measured{Pods: s.pods, Values: s.values, Err: s.failing[i]})
	}
	before := s.facts.HPA
	p := Decide(s.facts)
	var refused error
	if words == "refused" {
		refused = errors.New("no")
	}
	o := p.Finish(before, refused)
	var out strings.Builder
	status := o.Status
	fmt.Fprintf(&out, "%d -> %d\n", status.CurrentReplicas, status.DesiredReplicas)
	for _, c := range status.Conditions {
		fmt.Fprintf(&out, "%s %s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	for _, m := range status.CurrentMetrics {
		var v autoscalingv2.MetricValueStatus
		switch {
		case m.Resource != nil:
			v = m.Resource.Current
		case m.ContainerResource != nil:
			v = m.ContainerResource.Current
		case m.Pods != nil:
			v = m.Pods.Current
		case m.Object != nil:
			v = m.Object.Current
		case m.External != nil:
			v = m.External.Current
		}
		if m.Type == "" {
			out.WriteString("a metric that cannot be read\n")
			continue
		}
		out.WriteString(string(m.Type))
		if v.Value != nil {
			fmt.Fprintf(&out, " value %s", v.Value)
		}
		if v.AverageValue != nil {
			fmt.Fprintf(&out, " average %s", v.AverageValue)
		}
		if v.AverageUtilization != nil {
			fmt.Fprintf(&out, " utilization %d%%", *v.AverageUtilization)
		}
		out.WriteString("\n")
	}
	for _, e := range o.Events {
		fmt.Fprintf(&out, "event %s %s: %s\n", e.Type, e.Reason, e.Message)
	}
	next := before.DeepCopy()
	next.Status = o.Status
	s.facts.HPA, s.facts.Memory = next, o.Memory
	s.failing = map[int]error{}
	if p.Rescale && refused == nil {
		s.facts.Scale.Spec.Replicas, s.facts.Scale.Status.Replicas = p.Replicas, p.Replicas
	}
	return out.String()
}
