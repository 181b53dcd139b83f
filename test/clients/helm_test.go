package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"berth.dev/berth/internal/controller/all/alltest"
)

const (
	buildWithin = 10 * time.Minute // from nothing, on a small machine
	helmWithin  = time.Minute
)

// port is a cluster with a Helm program that talks to it.
type port struct {
	*alltest.Cluster
	helm string
	env  []string

	mu   sync.Mutex
	jobs []string // in the order in which their pods ended
}

func newPort(t *testing.T) *port {
	t.Helper()
	// Helm lives in a module of its own, so that ours needs nothing of it.
	p := &port{helm: filepath.Join(t.TempDir(), "helm")}
	ctx, cancel := context.WithTimeout(t.Context(), buildWithin)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", p.helm, "helm.sh/helm/v4/cmd/helm")
	build.Dir = "helm"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building Helm: %v\n%s", err, out)
	}
	// Nobody has registered the node that runs the hooks.
	p.Cluster = alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle", "pod-garbage-collector"}})
	home := t.TempDir()
	text, err := p.Kubeconfig().Encode()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(home, "kubeconfig"), text, 0o600))
	p.env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "kubeconfig"), "HELM_NAMESPACE=default")
	alltest.Run(t, p.work)
	return p
}

// run calls Helm, which must succeed.
func (p *port) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.try(t, args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (p *port) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), helmWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.helm, args...)
	cmd.Env, cmd.WaitDelay = p.env, time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// work is the node of the hooks' pods, which succeed at once.
func (p *port) work(ctx context.Context) error {
	return alltest.Kubelet(ctx, p.Client, func(_ context.Context, pod *corev1.Pod) (bool, error) {
		if pod.Status.Phase != corev1.PodPending {
			return false, nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.jobs = append(p.jobs, pod.Labels[batchv1.JobNameLabel])
		pod.Status.Phase = corev1.PodSucceeded
		return true, nil
	})
}

// worked returns the jobs since it was last called.
func (p *port) worked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.jobs = nil }()
	return p.jobs
}

func (p *port) expectWork(t *testing.T, want ...string) {
	t.Helper()
	if got := p.worked(); !slices.Equal(got, want) {
		t.Errorf("hooks that ran: %v, want %v", got, want)
	}
	jobs, err := p.Client.BatchV1().Jobs("default").List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(jobs.Items) > 0 {
		t.Errorf("%d hooks are left behind", len(jobs.Items))
	}
}

// log is what the chart's config map says.
func (p *port) log(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	cm, err := p.Client.CoreV1().ConfigMaps("default").Get(t.Context(), "sea-log", metav1.GetOptions{})
	must(t, err)
	return cm
}

var shipsResource = schema.GroupVersionResource{Group: "fleet.example.org", Version: "v1", Resource: "ships"}

func (p *port) ship(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	client, err := dynamic.NewForConfig(p.Config)
	must(t, err)
	ship, err := client.Resource(shipsResource).Namespace("default").Get(t.Context(), "sea", metav1.GetOptions{})
	must(t, err)
	return ship
}

func (p *port) length(t *testing.T) int64 {
	t.Helper()
	n, _, err := unstructured.NestedInt64(p.ship(t).Object, "spec", "length")
	must(t, err)
	return n
}

// exists asks for one of the chart's service accounts, which comes and goes.
func (p *port) exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := p.Client.CoreV1().ServiceAccounts("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func TestHelm(t *testing.T) {
	if testing.Short() {
		t.Skip("builds Helm")
	}
	p := newPort(t)
	const chart = "testdata/fleet"
	const watchman = "sea-night-watch"
	t.Run("install", func(t *testing.T) {
		out := p.run(t, "install", "sea", chart, "--wait", "--timeout", "50s")
		if !strings.Contains(out, "STATUS: deployed") || !strings.Contains(out, "REVISION: 1") {
			t.Errorf("got %s", out)
		}
		p.expectWork(t, "sea-pre-install", "sea-post-install")
		log := p.log(t)
		if log.Labels["app.kubernetes.io/managed-by"] != "Helm" || log.Annotations["meta.helm.sh/release-name"] != "sea" {
			t.Errorf("labels %v, annotations %v", log.Labels, log.Annotations)
		}
		if log.Data["namespace"] != "default" || log.Data["policies"] != "true" || !strings.HasPrefix(log.Data["api"], "v1.37.") {
			t.Errorf("what Helm asked the server: %v", log.Data)
		}
		if flag, _, _ := unstructured.NestedString(p.ship(t).Object, "spec", "flag"); p.length(t) != 12 || flag != "plain" {
			t.Errorf("ship of length %d, flag %q", p.length(t), flag)
		}
		if again, err := p.try(t, "install", "sea", chart); err == nil || !strings.Contains(again, "cannot reuse a name that is still in use") {
			t.Errorf("a second one: %v %s", err, again)
		}
		p.run(t, "install", "lake", chart, "--dry-run=server")
		p.expectWork(t)
	})
	t.Run("upgrade", func(t *testing.T) {
		before := p.log(t)
		p.run(t, "upgrade", "sea", chart, "--set", "captain=berta,length=30,nightWatch=false,serviceType=NodePort", "--wait", "--timeout", "50s")
		p.expectWork(t, "sea-pre-upgrade", "sea-post-upgrade")
		if after := p.log(t); after.Data["captain"] != "berta" || after.UID != before.UID || p.length(t) != 30 || p.exists(t, watchman) {
			t.Errorf("captain %q, length %d, night watch %v", after.Data["captain"], p.length(t), p.exists(t, watchman))
		}
		svc, err := p.Client.CoreV1().Services("default").Get(t.Context(), "sea", metav1.GetOptions{})
		must(t, err)
		if svc.Spec.Type != corev1.ServiceTypeNodePort || svc.Spec.Ports[0].NodePort == 0 {
			t.Errorf("service %+v", svc.Spec)
		}
	})
	t.Run("failing upgrade", func(t *testing.T) {
		out, err := p.try(t, "upgrade", "sea", chart, "--set", "captain=carla,length=500")
		if err == nil || !strings.Contains(out, "no berth is that long") {
			t.Errorf("%v %s", err, out)
		}
		if out := p.run(t, "status", "sea"); !strings.Contains(out, "STATUS: failed") {
			t.Errorf("got %s", out)
		}
		p.worked()
	})
	t.Run("rollback", func(t *testing.T) {
		p.run(t, "rollback", "sea", "1", "--wait", "--timeout", "50s")
		p.expectWork(t, "sea-pre-rollback", "sea-post-rollback")
		if log := p.log(t); log.Data["captain"] != "anna" || p.length(t) != 12 || !p.exists(t, watchman) {
			t.Errorf("captain %q, length %d, night watch %v", log.Data["captain"], p.length(t), p.exists(t, watchman))
		}
		history := p.run(t, "history", "sea")
		for _, want := range []string{"superseded", "failed", "deployed", "Rollback to 1"} {
			if !strings.Contains(history, want) {
				t.Errorf("no %q in\n%s", want, history)
			}
		}
	})
	t.Run("uninstall", func(t *testing.T) {
		out := p.run(t, "uninstall", "sea", "--wait", "--timeout", "50s")
		if !strings.Contains(out, `release "sea" uninstalled`) {
			t.Errorf("got %s", out)
		}
		p.expectWork(t, "sea-pre-delete", "sea-post-delete")
		p.gone(t)
	})
	t.Run("what others own", func(t *testing.T) {
		_, err := p.Client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "sea-log"}}, metav1.CreateOptions{})
		must(t, err)
		must(t, p.Client.CoreV1().Secrets("default").Delete(t.Context(), "sea-kept", metav1.DeleteOptions{}))
		if out, err := p.try(t, "install", "sea", chart); err == nil || !strings.Contains(out, "invalid ownership metadata") {
			t.Errorf("%v %s", err, out)
		}
	})
}

// gone checks what a removed release leaves: custom kinds and what says so.
func (p *port) gone(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if p.exists(t, "sea-night-watch") {
		t.Error("the service account is still there")
	}
	if _, err := p.Client.AppsV1().StatefulSets("default").Get(ctx, "sea", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("stateful set: %v", err)
	}
	client, err := dynamic.NewForConfig(p.Config)
	must(t, err)
	ships, err := client.Resource(shipsResource).List(ctx, metav1.ListOptions{})
	must(t, err) // the kind stays
	if len(ships.Items) != 0 {
		t.Errorf("%d ships are left", len(ships.Items))
	}
	secrets, err := p.Client.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	must(t, err)
	if len(secrets.Items) != 1 || secrets.Items[0].Name != "sea-kept" {
		t.Errorf("%d secrets are left, want the one to keep", len(secrets.Items))
	}
}
