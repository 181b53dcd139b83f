// Package usage is what a node and its containers use of processors and memory:
// the counters of one moment, their text form, which is that of the kubelet's
// /metrics/resource, and the rates between two moments.
package usage

import "time"

// Container names a running container.
type Container struct{ Namespace, Pod, Name string }

// Counters are what was counted until Time.
type Counters struct {
	// Start is when counting began; zero when it is not known.
	Start time.Time
	Time  time.Time
	// CPU is the time for which processors were busy, summed over them.
	CPU time.Duration
	// Memory is the working set in bytes.
	Memory int64
}

// Sample are the counters of a node at one moment.
type Sample struct {
	Node       Counters
	Containers map[Container]Counters
}

// Rate is the use during the Window that ended at Time.
type Rate struct {
	Time   time.Time
	Window time.Duration
	// CPU is in billionths of a processor, Memory in bytes.
	CPU, Memory int64
}

// Rates are those of a node and of the containers of which there are any.
type Rates struct {
	Node       *Rate
	Containers map[Container]Rate
}

// shortest is the shortest window that says something: counters of a node have
// steps of 10 ms.
const shortest = 500 * time.Millisecond

// Between returns the rates between two samples of one node. A container that
// was started in between is counted from its start.
func Between(before, after *Sample) Rates {
	out := Rates{Containers: make(map[Container]Rate, len(after.Containers))}
	if r, ok := rate(before.Node, after.Node); ok {
		out.Node = &r
	}
	for name, now := range after.Containers {
		if r, ok := rate(before.Containers[name], now); ok {
			out.Containers[name] = r
		}
	}
	return out
}

func rate(before, now Counters) (Rate, bool) {
	if before.Time.IsZero() || now.CPU < before.CPU || now.Start.After(before.Time) {
		if now.Start.IsZero() {
			return Rate{}, false
		}
		before = Counters{Time: now.Start}
	}
	window := now.Time.Sub(before.Time)
	if window < shortest {
		return Rate{}, false
	}
	cpu := float64(now.CPU-before.CPU) / float64(window) * 1e9
	return Rate{Time: now.Time, Window: window, CPU: int64(cpu), Memory: now.Memory}, true
}
