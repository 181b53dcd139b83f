package node

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/test/e2e/cluster"
)

const (
	namespace = "default"
	demo      = "berth.dev/demo:1"

	createRunning  = "one pod: create to Running"
	createReady    = "one pod: create to Ready"
	probedReady    = "one pod with readiness probe: create to Ready"
	hostReady      = "one pod on the node's network: create to Ready"
	overFloor      = "one pod: Ready by the floor"
	hostOverFloor  = "one pod on the node's network: Ready by the floor"
	deleteGone     = "one pod: delete to gone"
	crashRestarted = "one pod: crash to restarted"
)

func burst(n int) string { return fmt.Sprintf("%d pods at once: create to all Ready", n) }

// pod is the demo service with nothing but room for its counter.
func pod(name string, probe *corev1.Probe) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](5),
			Containers: []corev1.Container{{
				Name: "demo", Image: demo, ReadinessProbe: probe,
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}

func healthz(period int32) *corev1.Probe {
	return &corev1.Probe{
		PeriodSeconds: period,
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}},
	}
}

func (t *bench) create(pods ...*corev1.Pod) func() error {
	return func() error {
		for _, p := range pods {
			if _, err := t.client.CoreV1().Pods(namespace).Create(t.B.Context(), p, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
}

func (t *bench) delete(name string) func() error {
	return func() error {
		return t.client.CoreV1().Pods(namespace).Delete(t.B.Context(), name, metav1.DeleteOptions{})
	}
}

// settle waits until the control plane has nothing left to do for what was just
// seen: a pod that is Ready is still told to others.
func (t *bench) settle() { time.Sleep(200 * time.Millisecond) }

// pods measures one pod after the other.
func (t *bench) pods() {
	took := map[string][]time.Duration{}
	add := func(row string, p *corev1.Pod, so func(seen) bool) {
		took[row] = append(took[row], t.await(1, t.create(p), so)...)
		t.settle()
	}
	for i := range *single {
		name := func(kind string) string { return fmt.Sprintf("%s-%d", kind, i) }
		add(createRunning, pod(name("running"), nil), running)
		t.end(name("running"), took)
		add(createReady, pod(name("ready"), nil), ready)
		t.end(name("ready"), took)
		add(probedReady, pod(name("probed"), healthz(10)), ready)
		took[crashRestarted] = append(took[crashRestarted], t.await(1, t.crash, restarted)...)
		t.settle()
		t.end(name("probed"), took)
		shared := pod(name("host"), nil)
		shared.Spec.HostNetwork = true
		shared.Spec.Containers[0].Args = []string{"-listen", "127.0.0.1:0"}
		add(hostReady, shared, ready)
		t.await(1, t.delete(name("host")), gone)
		t.settle()
	}
	for row, d := range took {
		t.sample[row], t.sample[row+" p99"] = figure.Percentile(d, 50), figure.Percentile(d, 99)
	}
	t.sample[overFloor] = t.sample[createReady] / t.sample[floorStart]
	t.sample[hostOverFloor] = t.sample[hostReady] / t.sample[floorStart]
}

// end deletes the pod and notes how long that took.
func (t *bench) end(name string, took map[string][]time.Duration) {
	took[deleteGone] = append(took[deleteGone], t.await(1, t.delete(name), gone)...)
	t.settle()
}

// crash kills the only demo service there is.
func (t *bench) crash() error {
	pids := t.Host.Find(func(command string) bool { return strings.HasPrefix(command, "/demo") })
	if len(pids) != 1 {
		return fmt.Errorf("%d demo services, not one", len(pids))
	}
	t.Host.MustRun(t.B.Context(), "kill", "-KILL", pids[0])
	return nil
}

// bursts asks for many pods at once.
func (t *bench) bursts(d *direct) {
	t.floorBurst(d, 30)
	for _, n := range []int{30, 100} {
		var pods []*corev1.Pod
		for i := range n {
			pods = append(pods, pod(fmt.Sprintf("burst-%d", i), healthz(10)))
		}
		all, own, runtime := machineSeconds(t.B), t.cpu(t.Program()), t.cpu("*/containerd ")
		took := t.await(n, t.create(pods...), ready)
		seconds := took[n-1].Seconds()
		t.sample[burst(n)] = seconds
		t.settle()
		perPod := 1000 / float64(n)
		t.sample[burst(n)+": rate"] = float64(n) / seconds
		t.sample[burst(n)+": processor a pod"] = (machineSeconds(t.B) - all) * perPod
		t.sample[burst(n)+": of it berth"] = (t.cpu(t.Program()) - own) * perPod
		t.sample[burst(n)+": of it containerd"] = (t.cpu("*/containerd ") - runtime) * perPod
		took = t.await(n, func() error {
			return t.client.CoreV1().Pods(namespace).DeleteCollection(t.B.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
		}, gone)
		t.sample[burst(n)+": gone"] = took[n-1].Seconds()
		t.settle()
	}
}

func (t *bench) cpu(program string) float64 { return cluster.CPUSeconds(t.Proc(program, "stat")) }
