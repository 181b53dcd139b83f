package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/test/e2e/cluster"
)

// kills is how often TestKilledAtAnyMoment kills berth.
const kills = 15

// seeded is a source of chance that a failed run can be repeated with.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BERTH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("BERTH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// berth is killed again and again while a set is created, scaled, rolled and
// its pods are deleted. Nothing is lost, no container that runs is disturbed,
// no ordinal runs twice, and at the end everything is as wanted with nothing
// left over.
func TestKilledAtAnyMoment(t *testing.T) {
	chance := seeded(t)
	c := cluster.New(t, "crash").Start()
	w := watch(t, c)
	s := &story{t: t, c: c, w: w, chance: chance, client: c.Client(), replicas: 3}
	for kill := 1; kill <= kills; kill++ {
		s.act(kill)
		// Most things happen soon after they were asked for.
		s.pause(time.Duration(chance.IntN([]int{150, 600, 1800}[chance.IntN(3)])) * time.Millisecond)
		c.Kill()
		if chance.IntN(3) == 0 { // once more, while it starts
			c.Launch()
			time.Sleep(time.Duration(chance.IntN(1200)) * time.Millisecond)
			c.Kill()
			t.Logf("killed while starting")
		}
		before := s.running()
		began := time.Now()
		c.Start()
		t.Logf("kill %d: up again after %s with %d containers", kill, time.Since(began).Round(time.Millisecond), len(before))
	}
	s.converge()
	pods := s.pods()
	if n := w.visit(pods); n != s.replicas {
		t.Errorf("%d of %d pods answer", n, s.replicas)
	}
	for _, p := range pods {
		if n := p.Status.ContainerStatuses[0].RestartCount; n != 0 {
			t.Errorf("%s was restarted %d times, last: %+v", p.Name, n, p.Status.ContainerStatuses[0].LastTerminationState.Terminated)
		}
	}
	w.verdict(t)
	s.nothingElse(pods)
	s.deleteAll()
	leftovers(t, w)
}

// story does things to a set and knows what is wanted.
type story struct {
	t        *testing.T
	c        *cluster.Cluster
	w        *witness
	chance   *rand.Rand
	client   kubernetes.Interface
	replicas int
}

// act does the next thing; the server is up.
func (s *story) act(n int) {
	s.t.Helper()
	if n == 1 {
		s.c.Kubectl("apply", "-f", repo(s.t)+"/examples/demo/web.yaml")
		return
	}
	s.w.visit(s.pods())
	sets := s.client.AppsV1().StatefulSets("default")
	switch what := s.chance.IntN(10); what {
	case 0, 1, 2:
		to := 3 + s.chance.IntN(3)
		s.t.Logf("scale %d to %d", s.replicas, to)
		for i := to; i < s.replicas; i++ {
			s.w.forgetAddress(fmt.Sprintf("web-%d", i))
		}
		s.replicas = to
		s.patch(sets, fmt.Sprintf(`{"spec":{"replicas":%d}}`, to))
	case 3, 4, 5:
		s.t.Logf("roll")
		s.patch(sets, fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"round":"%d"}}}}}`, n))
	case 6, 7, 8:
		pod := fmt.Sprintf("web-%d", s.chance.IntN(3))
		s.t.Logf("delete %s", pod)
		_ = s.client.CoreV1().Pods("default").Delete(s.t.Context(), pod, metav1.DeleteOptions{}) // it may not be there
	default:
		s.t.Logf("nothing")
	}
}

type setPatcher interface {
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (*appsv1.StatefulSet, error)
}

func (s *story) patch(sets setPatcher, patch string) {
	s.t.Helper()
	if _, err := sets.Patch(s.t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		s.t.Fatalf("patch: %v", err)
	}
}

// pause lets time pass, with visitors.
func (s *story) pause(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if s.chance.IntN(4) == 0 {
			s.w.visit(s.pods())
		}
	}
}

func (s *story) pods() []corev1.Pod {
	s.t.Helper()
	list, err := s.client.CoreV1().Pods("default").List(s.t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		s.t.Fatalf("list pods: %v", err)
	}
	return list.Items
}

// running are the IDs of the containers that run.
func (s *story) running() []string {
	s.t.Helper()
	list, err := s.w.running(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for _, item := range list {
		ids = append(ids, item.Id)
	}
	return ids
}

// converge waits until the set is as wanted.
func (s *story) converge() {
	s.t.Helper()
	began := time.Now()
	s.c.Eventually(60*time.Second, fmt.Sprintf("%d ready, all of the newest revision", s.replicas), func() string {
		set, err := s.client.AppsV1().StatefulSets("default").Get(s.t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		n, readies := 0, 0
		for _, p := range s.pods() {
			n++
			if ready(&p) && p.DeletionTimestamp == nil && p.Labels[appsv1.StatefulSetRevisionLabel] == set.Status.UpdateRevision {
				readies++
			}
		}
		st := set.Status
		if n == s.replicas && readies == n && st.ReadyReplicas == int32(n) && st.UpdatedReplicas == int32(n) &&
			st.CurrentRevision == st.UpdateRevision && st.ObservedGeneration == set.Generation {
			return fmt.Sprintf("%d ready, all of the newest revision", n)
		}
		return fmt.Sprintf("%d pods, %d ready and new; %+v", n, readies, st)
	})
	s.t.Logf("converged after %s", time.Since(began).Round(time.Millisecond))
}

// nothingElse compares what there is of pods everywhere with the API's pods.
func (s *story) nothingElse(pods []corev1.Pod) {
	s.t.Helper()
	var names, uids, ips []string
	for _, p := range pods {
		names, uids, ips = append(names, p.Name), append(uids, string(p.UID)), append(ips, p.Status.PodIP)
	}
	slices.Sort(uids)
	slices.Sort(ips)
	if len(slices.Compact(slices.Clone(ips))) != len(ips) {
		s.t.Errorf("addresses are not unique: %v", ips)
	}
	dir := datadir.Dir(s.c.Data)
	want := strings.Join(uids, "\n")
	for what, command := range map[string]string{
		"volumes":     "ls " + dir.Kubelet() + "/pods",
		"directories": "ls " + dir.Kubelet() + "/containers",
		"logs":        "ls " + dir.PodLogs() + " | sed 's/.*_//' | sort",
	} {
		s.c.Eventually(60*time.Second, what+":\n"+want, func() string { return what + ":\n" + lines(s.c, command) })
	}
	s.c.Eventually(60*time.Second, "sandboxes:\n"+want, func() string {
		list, err := s.w.runtime.ListPodSandbox(s.t.Context(), nil)
		if err != nil {
			return err.Error()
		}
		var have []string
		for _, item := range list.Items {
			have = append(have, item.Metadata.Uid)
		}
		slices.Sort(have)
		return "sandboxes:\n" + strings.Join(have, "\n")
	})
	// An address rests for half a minute after a pod whose end nobody reported.
	s.c.Eventually(60*time.Second, strings.Join(names, " "), func() string {
		return s.c.Kubectl("get", "spiderendpoints", "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].metadata.name}")
	})
	s.c.Eventually(60*time.Second, fmt.Sprint(len(pods)), func() string {
		return lines(s.c, `tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | grep -cvE '^(lo|eth0|world|berth.*)$'`)
	})
	s.c.Eventually(60*time.Second, fmt.Sprint(2*len(pods)), func() string { // a pause and a container each
		return lines(s.c, "grep -c '^overlay "+s.c.Data+"' /proc/mounts")
	})
	s.c.Eventually(60*time.Second, fmt.Sprint(len(pods)), func() string {
		return lines(s.c, "grep -c '"+s.c.Data+".*netns' /proc/mounts")
	})
}

func (s *story) deleteAll() {
	s.t.Helper()
	s.c.Kubectl("delete", "-f", repo(s.t)+"/examples/demo/web.yaml")
	s.c.Kubectl("delete", "pvc", "--all")
	s.c.Eventually(60*time.Second, "", func() string {
		out, _ := s.c.Try("get", "pods,statefulsets,controllerrevisions,pvc,pv,spiderendpoints", "-n", "default", "-o", "name")
		if strings.HasPrefix(out, "No resources found") {
			return ""
		}
		return strings.TrimSpace(out)
	})
}

// lines runs a shell command on the host that may find nothing.
func lines(c *cluster.Cluster, command string) string {
	out, _ := c.Host.Run(context.Background(), "sh", "-c", command)
	return strings.TrimSpace(out)
}

// leftovers fails for what pods have left on a host that has none any more.
func leftovers(t *testing.T, w *witness) {
	t.Helper()
	c := w.c
	c.Eventually(60*time.Second, "", func() string {
		var of []string
		for _, p := range c.Host.Processes() {
			if strings.HasPrefix(p, "/demo") || strings.HasPrefix(p, "/pause") || strings.Contains(p, "containerd-shim") {
				of = append(of, p)
			}
		}
		return strings.Join(of, "\n")
	})
	// Sockets of shims that were killed go when containerd starts; a shim that is
	// just ending would keep its own.
	w.kill(t, w.containerd(t))
	c.Kill()
	c.Start()
	for what, command := range map[string]string{
		"on disk":     "ls -A " + c.Data + "/volumes " + c.Data + "/kubelet/pods " + c.Data + "/kubelet/containers " + c.Data + "/log/pods 2>/dev/null | grep -v ':$' | grep .",
		"mounted":     "grep -E 'overlay|netns|kubernetes.io|shm' /proc/mounts | grep " + c.Data,
		"interfaces":  `tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | grep -vE '^(lo|eth0|world|berth.*)$'`,
		"shim bundle": "ls -A " + c.Data + "/containerd/state/io.containerd.runtime.v2.task/k8s.io 2>/dev/null",
		"sockets":     "ls -A " + c.Data + "/run/s 2>/dev/null",
		"pod cgroups": "ls -d /sys/fs/cgroup/*/berth-" + datadir.Dir(c.Data).ID() + "/kubepods*/*/pod* /sys/fs/cgroup/berth-" + datadir.Dir(c.Data).ID() + "/kubepods*/*/pod* 2>/dev/null",
	} {
		c.Eventually(60*time.Second, what+": ", func() string { return what + ": " + lines(c, command) })
	}
}
