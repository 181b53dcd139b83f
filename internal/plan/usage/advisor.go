package usage

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Advised is what /metrics/cadvisor tells, which Prometheus' charts read.
type Advised struct {
	Node       Counters
	Interfaces []Interface // the node's
	Cores      int
	Memory     int64 // that the machine has
	Containers []AdvisedContainer
	Pods       []AdvisedPod
}

// Origin names what a figure is of, as cAdvisor does: by its cgroup, too.
type Origin struct {
	Container
	Cgroup, ID, Image string
}

// AdvisedContainer are the figures of a running container.
type AdvisedContainer struct {
	Origin
	Counters
	// Used is all memory, Resident what no file is behind.
	Used, Resident int64
	Throttled      *Throttled // nil without a limit of processors
	Files          *Files     // nil when they are not known
	Spec           Spec
}

// Throttled says how often a container had used up what it may.
type Throttled struct {
	Periods, Throttled uint64
	Time               time.Duration
}

// Files is what a container has written, on the disk of that size.
type Files struct{ Used, Capacity, Inodes, InodesFree uint64 }

// Spec is what a container may use; 0 is no limit.
type Spec struct{ Shares, Period, Quota, Memory int64 }

// AdvisedPod is what went over the network of a pod.
type AdvisedPod struct {
	Origin
	Interfaces []Interface
}

// label is one of a figure's, beside those of its origin. All are in the order
// of their names.
type label struct{ name, value string }

func (o Origin) labels(more ...label) string {
	all := []label{{"container", o.Name}, {"id", o.Cgroup}, {"image", o.Image}, {"name", o.ID}, {"namespace", o.Namespace}, {"pod", o.Pod}}
	var b bytes.Buffer
	for i, at := 0, 0; at < len(all) || i < len(more); {
		if i < len(more) && (at == len(all) || more[i].name < all[at].name) {
			fmt.Fprintf(&b, ",%s=%q", more[i].name, more[i].value)
			i++
			continue
		}
		fmt.Fprintf(&b, ",%s=%q", all[at].name, all[at].value)
		at++
	}
	return "{" + b.String()[1:] + "}"
}

// machine is the cgroup of all.
var machine = Origin{Cgroup: "/"}

// Text has the figures in the Prometheus text format, by cAdvisor's names.
func (a *Advised) Text() []byte {
	w := &writer{}
	total := label{"cpu", "total"}
	w.family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.")
	w.row(machine, seconds(a.Node.CPU), a.Node.Time, total)
	a.each(func(c *AdvisedContainer) { w.row(c.Origin, seconds(c.CPU), c.Time, total) })
	for _, f := range []struct {
		name, help string
		value      func(*Throttled) string
	}{
		{"container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", func(t *Throttled) string { return fmt.Sprint(t.Periods) }},
		{"container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", func(t *Throttled) string { return fmt.Sprint(t.Throttled) }},
		{"container_cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.", func(t *Throttled) string { return seconds(t.Time) }},
	} {
		w.family(f.name, "counter", f.help)
		a.each(func(c *AdvisedContainer) {
			if c.Throttled != nil {
				w.row(c.Origin, f.value(c.Throttled), c.Time)
			}
		})
	}
	w.family("container_memory_working_set_bytes", "gauge", "Current working set in bytes.")
	w.row(machine, fmt.Sprint(a.Node.Memory), a.Node.Time)
	a.each(func(c *AdvisedContainer) { w.row(c.Origin, fmt.Sprint(c.Counters.Memory), c.Time) })
	w.family("container_memory_usage_bytes", "gauge", "Current memory usage in bytes, including all memory regardless of when it was accessed")
	a.each(func(c *AdvisedContainer) { w.row(c.Origin, fmt.Sprint(c.Used), c.Time) })
	w.family("container_memory_rss", "gauge", "Size of RSS in bytes.")
	a.each(func(c *AdvisedContainer) { w.row(c.Origin, fmt.Sprint(c.Resident), c.Time) })
	a.files(w)
	a.network(w)
	a.specs(w)
	w.family("machine_cpu_cores", "gauge", "Number of logical CPU cores.")
	fmt.Fprintf(w, "machine_cpu_cores %d\n", a.Cores)
	w.family("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.")
	fmt.Fprintf(w, "machine_memory_bytes %d\n", a.Memory)
	w.family("container_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise")
	fmt.Fprint(w, "container_scrape_error 0\n")
	return w.Bytes()
}

func (a *Advised) each(f func(*AdvisedContainer)) {
	for i := range a.Containers {
		f(&a.Containers[i])
	}
}

func (a *Advised) files(w *writer) {
	for _, f := range []struct {
		name, help string
		value      func(*Files) uint64
	}{
		{"container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", func(f *Files) uint64 { return f.Used }},
		{"container_fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", func(f *Files) uint64 { return f.Capacity }},
		{"container_fs_inodes_total", "Number of Inodes", func(f *Files) uint64 { return f.Inodes }},
		{"container_fs_inodes_free", "Number of available Inodes", func(f *Files) uint64 { return f.InodesFree }},
	} {
		w.family(f.name, "gauge", f.help)
		a.each(func(c *AdvisedContainer) {
			if c.Files != nil {
				w.row(c.Origin, fmt.Sprint(f.value(c.Files)), c.Time, label{"device", ""})
			}
		})
	}
}

func (a *Advised) network(w *writer) {
	for _, f := range []struct {
		name, help string
		value      func(Interface) uint64
	}{
		{"receive_bytes_total", "Cumulative count of bytes received", func(i Interface) uint64 { return i.Received.Bytes }},
		{"receive_packets_total", "Cumulative count of packets received", func(i Interface) uint64 { return i.Received.Packets }},
		{"receive_packets_dropped_total", "Cumulative count of packets dropped while receiving", func(i Interface) uint64 { return i.Received.Dropped }},
		{"receive_errors_total", "Cumulative count of errors encountered while receiving", func(i Interface) uint64 { return i.Received.Errors }},
		{"transmit_bytes_total", "Cumulative count of bytes transmitted", func(i Interface) uint64 { return i.Sent.Bytes }},
		{"transmit_packets_total", "Cumulative count of packets transmitted", func(i Interface) uint64 { return i.Sent.Packets }},
		{"transmit_packets_dropped_total", "Cumulative count of packets dropped while transmitting", func(i Interface) uint64 { return i.Sent.Dropped }},
		{"transmit_errors_total", "Cumulative count of errors encountered while transmitting", func(i Interface) uint64 { return i.Sent.Errors }},
	} {
		w.family("container_network_"+f.name, "counter", f.help)
		for _, p := range append([]AdvisedPod{{machine, a.Interfaces}}, a.Pods...) {
			for _, i := range p.Interfaces {
				w.row(p.Origin, fmt.Sprint(f.value(i)), a.Node.Time, label{"interface", i.Name})
			}
		}
	}
}

func (a *Advised) specs(w *writer) {
	w.family("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.")
	a.each(func(c *AdvisedContainer) {
		if !c.Start.IsZero() {
			w.row(c.Origin, fmt.Sprint(c.Start.Unix()), c.Time)
		}
	})
	w.family("container_last_seen", "gauge", "Last time a container was seen by the exporter")
	a.each(func(c *AdvisedContainer) { w.row(c.Origin, fmt.Sprint(c.Time.Unix()), c.Time) })
	for _, f := range []struct {
		name, help string
		limits     bool // shown only where there is one
		value      func(Spec) int64
	}{
		{"container_spec_cpu_shares", "CPU share of the container.", false, func(s Spec) int64 { return s.Shares }},
		{"container_spec_cpu_period", "CPU period of the container.", false, func(s Spec) int64 { return s.Period }},
		{"container_spec_cpu_quota", "CPU quota of the container.", true, func(s Spec) int64 { return s.Quota }},
		{"container_spec_memory_limit_bytes", "Memory limit for the container.", false, func(s Spec) int64 { return s.Memory }},
	} {
		w.family(f.name, "gauge", f.help)
		a.each(func(c *AdvisedContainer) {
			if n := f.value(c.Spec); n > 0 || !f.limits {
				w.row(c.Origin, fmt.Sprint(n), c.Time)
			}
		})
	}
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// writer writes families of figures.
type writer struct {
	bytes.Buffer
	name string
}

func (w *writer) family(name, kind, help string) {
	w.name = name
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (w *writer) row(of Origin, value string, at time.Time, more ...label) {
	fmt.Fprintf(w, "%s%s %s %d\n", w.name, of.labels(more...), value, at.UnixMilli())
}
