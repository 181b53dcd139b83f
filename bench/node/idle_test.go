package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

const (
	idlePods    = 100
	idleSpan    = 30 * time.Second
	idleRest    = 60 * time.Second
	idleRuntime = "100 idle pods: containerd and all shims"
	idleMemory  = "100 idle pods: memory of berth, a pod"
	agentCPU    = "100 idle pods: an agent without a server beyond its empty node"
	agentMemory = "100 idle pods: memory of an agent without a server, a pod"
	idleShims   = "100 idle pods: memory of a shim"
)

func idleCPU(probed bool) string {
	if probed {
		return "100 idle pods, an httpGet each 10 s: berth beyond an empty node"
	}
	return "100 idle pods: berth beyond an empty node"
}

// idle compares a server with pods that do nothing with itself before them.
func idle(b *testing.B, sample figure.Sample) {
	b.Helper()
	c := cluster.New(b, "idle").Start()
	t := &bench{B: b, Cluster: c, watcher: watch(b, c.Client()), sample: sample}
	empty, _, rss := t.rest()
	for _, probed := range []bool{false, true} {
		gone := t.idlers(probed)
		full, runtime, memory := t.rest()
		t.sample[idleCPU(probed)] = full - empty
		if !probed {
			t.sample[idleRuntime] = runtime
			t.sample[idleMemory] = (memory - rss) / idlePods
			t.sample[idleShims] = t.shims()
		}
		gone()
	}
	c.Signal("KILL") // it must not run beside the next one
}

// idleAgent does the same with a node whose server is another machine.
func idleAgent(b *testing.B, sample figure.Sample) {
	b.Helper()
	network := host.NewSwitch(b)
	c := cluster.On(b, network.Host("server"), cluster.Bin(b), "--disable-agent")
	c.Launch()
	c.Eventually(180*time.Second, "ok", func() string { out, _ := c.Try("get", "--raw", "/readyz"); return out })
	a := c.Agent(b, network.Host("agent"))
	a.Launch()
	c.Kubectl("wait", "--for=create", "node/agent", "--timeout=180s")
	c.Kubectl("wait", "--for=condition=Ready", "node/agent", "--timeout=180s")
	t := &bench{B: b, Cluster: a, watcher: watch(b, c.Client()), sample: sample}
	empty, _, rss := t.rest()
	gone := t.idlers(false)
	full, _, memory := t.rest()
	t.sample[agentCPU] = full - empty
	t.sample[agentMemory] = (memory - rss) / idlePods
	gone()
	a.Signal("KILL")
	c.Signal("KILL")
}

// idlers makes pods that do nothing; what it returns ends them.
func (t *bench) idlers(probed bool) func() {
	var probe *corev1.Probe
	if probed {
		probe = healthz(10)
	}
	var pods []*corev1.Pod
	for i := range idlePods {
		pods = append(pods, pod(fmt.Sprintf("idle-%t-%d", probed, i), probe))
	}
	t.await(idlePods, t.create(pods...), ready)
	return func() {
		t.await(idlePods, func() error {
			for _, p := range pods {
				if err := t.delete(p.Name)(); err != nil {
					return err
				}
			}
			return nil
		}, gone)
	}
}

// rest waits until the burst is over and then looks for a while: per cent of a
// core that berth and containerd use, and berth's memory in MB.
func (t *bench) rest() (own, runtime, memory float64) {
	time.Sleep(idleRest)
	own, runtime = t.cpu(t.Program()), t.runtimeCPU()
	time.Sleep(idleSpan)
	percent := 100 / idleSpan.Seconds()
	return (t.cpu(t.Program()) - own) * percent, (t.runtimeCPU() - runtime) * percent,
		cluster.Kilobytes(t.Proc(t.Program(), "status"), "VmRSS") / 1024
}

// runtimeCPU is the processor time that containerd and its shims have used, in
// seconds.
func (t *bench) runtimeCPU() float64 {
	seconds := t.cpu("*/containerd ")
	for _, pid := range t.shimPIDs() {
		seconds += cluster.CPUSeconds(t.Host.MustRun(t.B.Context(), "cat", "/proc/"+pid+"/stat"))
	}
	return seconds
}

func (t *bench) shimPIDs() []string {
	return t.Host.Find(func(command string) bool { return strings.Contains(command, "containerd-shim-runc-v2") })
}

// shims is what one shim holds of its own, in MB.
func (t *bench) shims() float64 {
	pids := t.shimPIDs()
	total := 0.0
	for _, pid := range pids {
		status := t.Host.MustRun(t.B.Context(), "cat", "/proc/"+pid+"/status")
		total += cluster.Kilobytes(status, "RssAnon") / 1024
	}
	if len(pids) == 0 {
		t.B.Fatal("no shim runs")
	}
	return total / float64(len(pids))
}
