// Package start measures how fast a server comes up and what it costs when
// idle. Run it by hand: go test -bench . -benchtime 1x ./bench/start
package start

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

const runs = 5

func TestMain(m *testing.M) {
	host.Main()
	os.Exit(m.Run())
}

// BenchmarkEmpty starts on an empty directory. The bundle is unpacked already;
// the images are imported.
func BenchmarkEmpty(b *testing.B) {
	var readyz, ready []time.Duration
	for range runs {
		c := cluster.New(b, "start")
		x, y := start(b, c)
		readyz, ready = append(readyz, x), append(ready, y)
		c.Signal("TERM")
	}
	report(b, readyz, ready)
}

// BenchmarkWithData starts on a directory with a cluster of three demo pods.
func BenchmarkWithData(b *testing.B) {
	c := cluster.New(b, "start").Start()
	demo(b, c)
	var readyz, ready []time.Duration
	for range runs {
		c.Signal("TERM")
		x, y := start(b, c)
		readyz, ready = append(readyz, x), append(ready, y)
	}
	report(b, readyz, ready)
}

// BenchmarkIdle looks at a server with three demo pods from 60 s after they
// are Ready, for 30 s.
func BenchmarkIdle(b *testing.B) {
	figures := map[string][]float64{}
	for range runs {
		for name, value := range idle(b) {
			figures[name] = append(figures[name], value)
		}
	}
	for name, values := range figures {
		slices.Sort(values)
		b.Logf("%s: %.2f", name, values)
		b.ReportMetric(values[len(values)/2], name)
	}
	b.ReportMetric(0, "ns/op")
}

func idle(b *testing.B) map[string]float64 {
	b.Helper()
	const span = 30.0
	c := cluster.New(b, "idle").Start()
	demo(b, c)
	time.Sleep(60 * time.Second)
	client := c.Client()
	cpu, writes := cluster.CPUSeconds(c.Proc(c.Program(), "stat")), revision(b, client)
	time.Sleep(span * time.Second)
	cpu = cluster.CPUSeconds(c.Proc(c.Program(), "stat")) - cpu
	writes = revision(b, client) - writes
	status := c.Proc(c.Program(), "status")
	runtime := c.Proc("*/containerd ", "status")
	c.Signal("KILL") // it must not run beside the next one
	return map[string]float64{
		"%core":         100 * cpu / span,
		"writes/s":      float64(writes) / span,
		"MB-rss":        cluster.Kilobytes(status, "VmRSS") / 1024,
		"MB-anon":       cluster.Kilobytes(status, "RssAnon") / 1024,
		"MB-containerd": cluster.Kilobytes(runtime, "VmRSS") / 1024,
	}
}

// start launches the server and returns the times to /readyz and to node Ready.
// A node of an earlier run still says Ready, so the server's own word that every
// part of it is ready is awaited too.
func start(b *testing.B, c *cluster.Cluster) (readyz, ready time.Duration) {
	b.Helper()
	began := time.Now()
	c.Launch()
	var client *kubernetes.Clientset
	for {
		if _, err := os.Stat(filepath.Join(c.Data, "kubeconfig")); err == nil {
			client = c.Client()
			break
		}
		time.Sleep(time.Millisecond)
	}
	for {
		_, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(b.Context())
		if err == nil {
			readyz = time.Since(began)
			break
		}
		if time.Since(began) > time.Minute {
			b.Fatalf("not ready after a minute: %v\n%s", err, c.Log())
		}
		time.Sleep(2 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	w, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	for ev := range w.ResultChan() {
		n, ok := ev.Object.(*corev1.Node)
		if ok && slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			for !strings.Contains(c.Log(), "berth is ready after") {
				time.Sleep(time.Millisecond)
			}
			return readyz, time.Since(began)
		}
	}
	b.Fatal("the node did not become Ready")
	return 0, 0
}

func demo(b *testing.B, c *cluster.Cluster) {
	b.Helper()
	c.Kubectl("apply", "-f", filepath.Join(cluster.Bin(b), "../examples/demo/web.yaml"))
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=60s")
}

// revision is the datastore's, by any list's resourceVersion.
func revision(b *testing.B, client *kubernetes.Clientset) int64 {
	b.Helper()
	list, err := client.CoreV1().ConfigMaps("default").List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var n int64
	for _, digit := range list.ResourceVersion {
		n = 10*n + int64(digit-'0')
	}
	return n
}

func report(b *testing.B, readyz, ready []time.Duration) {
	slices.Sort(readyz)
	slices.Sort(ready)
	b.Logf("/readyz %v, node Ready %v", readyz, ready)
	b.ReportMetric(readyz[len(readyz)/2].Seconds(), "s-to-readyz")
	b.ReportMetric(ready[len(ready)/2].Seconds(), "s-to-node-ready")
	b.ReportMetric(0, "ns/op")
}
