package usage

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The names and help texts are the kubelet's.
const (
	nodeCPU         = "node_cpu_usage_seconds_total"
	nodeMemory      = "node_memory_working_set_bytes"
	containerCPU    = "container_cpu_usage_seconds_total"
	containerMemory = "container_memory_working_set_bytes"
	containerStart  = "container_start_time_seconds"
	podCPU          = "pod_cpu_usage_seconds_total"
	podMemory       = "pod_memory_working_set_bytes"
)

// Text is the sample in the Prometheus text format. A pod uses what its
// containers use.
func (s *Sample) Text() []byte {
	var b bytes.Buffer
	names := slices.SortedFunc(maps.Keys(s.Containers), func(a, b Container) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Pod, b.Pod), strings.Compare(a.Name, b.Name))
	})
	pods := map[Container]Counters{}
	var order []Container
	for _, name := range names {
		pod := Container{Namespace: name.Namespace, Pod: name.Pod}
		sum, seen := pods[pod]
		if !seen {
			order = append(order, pod)
		}
		c := s.Containers[name]
		pods[pod] = Counters{Time: latest(sum.Time, c.Time), CPU: sum.CPU + c.CPU, Memory: sum.Memory + c.Memory}
	}
	family := func(metric, help, kind string, of []Container, in map[Container]Counters, value func(Counters) (string, bool)) {
		fmt.Fprintf(&b, "# HELP %s [STABLE] %s\n# TYPE %s %s\n", metric, help, metric, kind)
		for _, name := range of {
			c := in[name]
			text, known := value(c)
			if !known {
				continue
			}
			b.WriteString(metric)
			switch {
			case name.Name != "":
				fmt.Fprintf(&b, "{container=%q,namespace=%q,pod=%q}", name.Name, name.Namespace, name.Pod)
			case name.Pod != "":
				fmt.Fprintf(&b, "{namespace=%q,pod=%q}", name.Namespace, name.Pod)
			}
			fmt.Fprintf(&b, " %s %d\n", text, c.Time.UnixMilli())
		}
	}
	cpu := func(c Counters) (string, bool) { return strconv.FormatFloat(c.CPU.Seconds(), 'f', -1, 64), true }
	memory := func(c Counters) (string, bool) { return strconv.FormatInt(c.Memory, 10), true }
	start := func(c Counters) (string, bool) {
		return strconv.FormatFloat(float64(c.Start.UnixMilli())/1000, 'f', -1, 64), !c.Start.IsZero()
	}
	machine := map[Container]Counters{}
	var one []Container
	if !s.Node.Time.IsZero() {
		machine[Container{}], one = s.Node, []Container{{}}
	}
	family(containerCPU, "Cumulative cpu time consumed by the container in core-seconds", "counter", names, s.Containers, cpu)
	family(containerMemory, "Current working set of the container in bytes", "gauge", names, s.Containers, memory)
	family(containerStart, "Start time of the container since unix epoch in seconds", "gauge", names, s.Containers, start)
	family(nodeCPU, "Cumulative cpu time consumed by the node in core-seconds", "counter", one, machine, cpu)
	family(nodeMemory, "Current working set of the node in bytes", "gauge", one, machine, memory)
	family(podCPU, "Cumulative cpu time consumed by the pod in core-seconds", "counter", order, pods, cpu)
	family(podMemory, "Current working set of the pod in bytes", "gauge", order, pods, memory)
	b.WriteString("# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise\n# TYPE resource_scrape_error gauge\nresource_scrape_error 0\n")
	return b.Bytes()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Parse reads the text form, a kubelet's too. What it does not know it skips.
func Parse(text []byte) (*Sample, error) {
	s := &Sample{Containers: map[Container]Counters{}}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		metric, rest, _ := strings.Cut(line, " ")
		name, labels, labelled := strings.Cut(metric, "{")
		if labelled {
			// Values of labels are names of Kubernetes: they hold no blank, quote or brace.
			labels = strings.TrimSuffix(labels, "}")
		}
		switch name {
		case nodeCPU, nodeMemory, containerCPU, containerMemory, containerStart:
		default:
			continue
		}
		number, stamp, timed := strings.Cut(rest, " ")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(value) || value < 0 || value > math.MaxInt64/1e9 && name != containerMemory && name != nodeMemory || value >= math.MaxInt64 {
			return nil, fmt.Errorf("the use of a node: %q is no line of /metrics/resource", line)
		}
		of := containerOf(labels)
		c := s.Node
		if strings.HasPrefix(name, "container_") {
			c = s.Containers[of]
		}
		switch name {
		case nodeCPU, containerCPU:
			milli, err := strconv.ParseInt(stamp, 10, 64)
			if err != nil || !timed {
				return nil, fmt.Errorf("the use of a node: %q has no time", line)
			}
			c.CPU, c.Time = time.Duration(math.Round(value*1e9)), time.UnixMilli(milli)
		case containerStart:
			c.Start = time.UnixMilli(int64(math.Round(value * 1000)))
		default:
			c.Memory = int64(value)
		}
		if strings.HasPrefix(name, "container_") {
			s.Containers[of] = c
		} else {
			s.Node = c
		}
	}
	return s, nil
}

func containerOf(labels string) Container {
	var c Container
	for pair := range strings.SplitSeq(labels, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value = strings.Trim(value, `"`)
		switch key {
		case "container":
			c.Name = value
		case "namespace":
			c.Namespace = value
		case "pod":
			c.Pod = value
		}
	}
	return c
}
