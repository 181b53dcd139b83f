package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/test/e2e/cluster"
)

// Whatever process of a pod or of the runtime is killed, what comes back is
// the same pod with its address and its disk, soon.
func TestProcessesKilledUnderBerth(t *testing.T) {
	c := cluster.New(t, "fault")
	stuckMount(t, c)
	c.Start()
	c.Kubectl("apply", "-f", repo(t)+"/examples/demo/web.yaml")
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	w := watch(t, c)
	client := c.Client()
	get := func(name string) *corev1.Pod {
		t.Helper()
		pod, err := client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return pod
	}
	// restarted waits until the pod runs its next container and checks that it is the same pod.
	// sandbox is the pod's before something was killed.
	restarted := func(t *testing.T, before *corev1.Pod, sandbox string, sameSandbox bool) {
		t.Helper()
		old := before.Status.ContainerStatuses[0]
		began := time.Now()
		c.Eventually(60*time.Second, fmt.Sprintf("restarts %d, ready", old.RestartCount+1), func() string {
			now := get(before.Name)
			state := "not ready"
			if st := now.Status.ContainerStatuses; ready(now) && len(st) > 0 && st[0].ContainerID != old.ContainerID {
				state = "ready"
			}
			return fmt.Sprintf("restarts %d, %s", now.Status.ContainerStatuses[0].RestartCount, state)
		})
		t.Logf("ready again %s after it was killed", time.Since(began).Round(time.Millisecond))
		now := get(before.Name)
		if now.UID != before.UID || now.Status.PodIP != before.Status.PodIP {
			t.Errorf("%s was %s at %s and is %s at %s", before.Name, before.UID, before.Status.PodIP, now.UID, now.Status.PodIP)
		}
		last := now.Status.ContainerStatuses[0].LastTerminationState.Terminated
		if last == nil || last.ContainerID != old.ContainerID || sameSandbox && last.ExitCode == 0 {
			t.Errorf("the last state does not tell of the killed container: %+v", last)
		}
		if same := w.sandbox(t, now) == sandbox; same != sameSandbox {
			t.Errorf("the same sandbox: %v, want %v", same, sameSandbox)
		}
		if n := w.visit([]corev1.Pod{*now}); n != 1 {
			t.Errorf("%s does not answer", before.Name)
		}
	}

	t.Run("main process", func(t *testing.T) {
		before := get("web-0")
		w.visit([]corev1.Pod{*before})
		sandbox := w.sandbox(t, before)
		w.kill(t, w.containerPID(t, before))
		restarted(t, before, sandbox, true)
	})
	t.Run("pause process", func(t *testing.T) {
		before := get("web-1")
		w.visit([]corev1.Pod{*before})
		sandbox := w.sandbox(t, before)
		w.kill(t, w.sandboxPID(t, before))
		restarted(t, before, sandbox, false)
	})
	t.Run("shim", func(t *testing.T) {
		before := get("web-2")
		w.visit([]corev1.Pod{*before})
		sandbox := w.sandbox(t, before)
		w.kill(t, w.find(t, func(command string) bool {
			return strings.Contains(command, "containerd-shim") && strings.Contains(command, sandbox)
		}))
		restarted(t, before, sandbox, false)
	})
	t.Run("containerd", func(t *testing.T) {
		before := c.Containers()
		for i := range 4 {
			w.kill(t, w.containerd(t))
			began := time.Now()
			// Work that needs it goes on, also when it is under way.
			c.Kubectl("delete", "pod", "web-2", "--wait=false")
			if i%2 == 1 {
				w.kill(t, w.containerd(t))
			}
			uid := strings.Fields(before[strings.Index(before, "web-2"):])[1]
			c.Eventually(60*time.Second, "replaced", func() string {
				if now, err := client.CoreV1().Pods("default").Get(t.Context(), "web-2", metav1.GetOptions{}); err == nil && string(now.UID) != uid && ready(now) {
					return "replaced"
				}
				return "not replaced"
			})
			t.Logf("web-2 replaced %s after containerd was killed", time.Since(began).Round(time.Millisecond))
			after := c.Containers()
			if cut(after) != cut(before) {
				t.Errorf("containers changed when containerd was killed:\n%s\nnow:\n%s", before, after)
			}
			before = after
		}
	})
	t.Run("containerd and berth at once", func(t *testing.T) {
		before := c.Containers()
		w.kill(t, w.containerd(t))
		c.Kill()
		c.Start()
		w.initialized(t)
		if after := c.Containers(); after != before {
			t.Errorf("containers changed:\n%s\nnow:\n%s", before, after)
		}
	})
	t.Run("a process of a pod while berth is down", func(t *testing.T) {
		main, pause := get("web-0"), get("web-1")
		mainPID, pausePID := w.containerPID(t, main), w.sandboxPID(t, pause)
		mainSandbox, pauseSandbox := w.sandbox(t, main), w.sandbox(t, pause)
		c.Kill()
		w.kill(t, mainPID)
		w.kill(t, pausePID)
		c.Start()
		restarted(t, main, mainSandbox, true)
		restarted(t, pause, pauseSandbox, false)
	})
	t.Run("a server that does not answer", func(t *testing.T) { serverThatDoesNotAnswer(t, c, client) })
	t.Run("a server that falls silent", func(t *testing.T) { serverThatFallsSilent(t, c) })
	t.Run("100 pods deleted by force", func(t *testing.T) {
		before := c.Containers()
		createdAndDeletedByForce(t, c, client)
		if after := c.Containers(); after != before {
			t.Errorf("containers changed:\n%s\nnow:\n%s", before, after)
		}
	})
	for _, p := range w.problems {
		t.Error(p)
	}
	(&story{t: t, c: c, w: w, client: client, replicas: 3}).deleteAll()
	leftovers(t, w)
}

// cut drops the line of web-2.
func cut(containers string) string { return containers[:strings.Index(containers, "web-2")] }

// sandbox is the ID of the pod's newest sandbox.
func (w *witness) sandbox(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	list, err := w.runtime.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{
		LabelSelector: map[string]string{cri.LabelPodUID: string(pod.UID)},
	}})
	if err != nil || len(list.Items) == 0 {
		t.Fatalf("sandboxes of %s: %v, %v", pod.Name, list, err)
	}
	newest := list.Items[0]
	for _, item := range list.Items {
		if item.CreatedAt > newest.CreatedAt {
			newest = item
		}
	}
	return newest.Id
}

func (w *witness) sandboxPID(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	st, err := w.runtime.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: w.sandbox(t, pod), Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	return pidOf(t, st.Info)
}

func (w *witness) containerPID(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	st, err := w.runtime.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	return pidOf(t, st.Info)
}

// pidOf reads the process from containerd's verbose information.
func pidOf(t *testing.T, info map[string]string) string {
	t.Helper()
	var about struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal([]byte(info["info"]), &about); err != nil || about.PID == 0 {
		t.Fatalf("no process in %v: %v", info, err)
	}
	return fmt.Sprint(about.PID)
}

func (w *witness) containerd(t *testing.T) string {
	t.Helper()
	return w.find(t, func(command string) bool { return strings.Contains(command, "/containerd --config") })
}

// find returns the one process that matches.
func (w *witness) find(t *testing.T, match func(string) bool) string {
	t.Helper()
	var pids []string
	w.c.Eventually(60*time.Second, "1 process", func() string {
		pids = w.c.Host.Find(match)
		return fmt.Sprintf("%d process", len(pids))
	})
	return pids[0]
}

func (w *witness) kill(t *testing.T, pid string) {
	t.Helper()
	w.c.Host.MustRun(t.Context(), "sh", "-c", "kill -9 "+pid)
}
