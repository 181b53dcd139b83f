package staticpod

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
)

func manifest(name, image string) string {
	return "# a pod\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n  containers:\n  - {name: c, image: '" + image + "'}\n"
}

// seen collects what a source tells.
type seen struct {
	mu      sync.Mutex
	pods    []string
	refused []string
}

func (s *seen) changed(pods []*corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = nil
	for _, p := range pods {
		s.pods = append(s.pods, p.Name+" "+p.Spec.Containers[0].Image+" "+string(p.Spec.Containers[0].ImagePullPolicy))
	}
}

func (s *seen) await(t *testing.T, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		diff := cmp.Diff(want, s.pods)
		s.mu.Unlock()
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(diff)
		}
	}
}

func TestFolderIsFollowed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by-us")
	told := &seen{}
	refused := func(file string, err error) {
		told.mu.Lock()
		defer told.mu.Unlock()
		told.refused = append(told.refused, filepath.Base(file)+": "+err.Error())
	}
	s := &Source{Dir: dir, Node: "n1", Refused: refused, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	first := make(chan struct{})
	var once sync.Once
	go func() {
		defer close(done)
		s.Run(ctx, func(pods []*corev1.Pod) {
			told.changed(pods)
			once.Do(func() { close(first) })
		})
	}()
	defer func() { cancel(); <-done }()
	<-first
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.yaml", manifest("b", "i:1"))
	write("a.json", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	told.await(t, "a-n1 i Always", "b-n1 i:1 IfNotPresent")
	write(".hidden.yaml", manifest("h", "i:1"))
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("b.yaml", manifest("b", "i:2"))
	told.await(t, "a-n1 i Always", "b-n1 i:2 IfNotPresent")

	// What cannot be understood keeps what there was, and is told of once.
	write("b.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  na")
	write("c.yaml", manifest("c", "i:1"))
	told.await(t, "a-n1 i Always", "b-n1 i:2 IfNotPresent", "c-n1 i:1 IfNotPresent")
	write("d.yaml", manifest("d", "i:1"))
	told.await(t, "a-n1 i Always", "b-n1 i:2 IfNotPresent", "c-n1 i:1 IfNotPresent", "d-n1 i:1 IfNotPresent")
	told.mu.Lock()
	if len(told.refused) != 1 || !strings.HasPrefix(told.refused[0], "b.yaml: could not process manifest file: ") {
		t.Errorf("%q", told.refused)
	}
	told.mu.Unlock()
	for _, name := range []string{"a.json", "b.yaml", "c.yaml"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	told.await(t, "d-n1 i:1 IfNotPresent")
	// An atomic replacement, as editors and tools do it.
	write(".d.tmp", manifest("d", "i:3"))
	if err := os.Rename(filepath.Join(dir, ".d.tmp"), filepath.Join(dir, "d.yaml")); err != nil {
		t.Fatal(err)
	}
	told.await(t, "d-n1 i:3 IfNotPresent")
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		manifest("p", "i"): "",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}":                      `invalid pod: a file of static pods holds one v1 Pod, not "Deployment" of "apps/v1"`,
		manifest("p", "i") + "---\n" + manifest("q", "i"):                                 "invalid pod: a file describes one pod; put the others into files of their own",
		"apiVersion: v1\nkind: Pod\nmetadata: {}":                                         "invalid pod: name is needed for the pod",
		strings.Replace(manifest("p", "i"), "spec:", "spec:\n  serviceAccountName: x", 1): "static pods may not reference serviceaccounts",
		strings.Replace(manifest("p", "i"), "spec:", "spec:\n  restartPolicy: Ever", 1):   `invalid pod: spec.restartPolicy: Unsupported value: "Ever": supported values: "Always", "OnFailure", "Never"`,
	} {
		pod, err := decode([]byte(text), "n", "/f", time.Unix(0, 0))
		got := ""
		if err != nil {
			got = err.Error()
		} else if pod.Spec.RestartPolicy != corev1.RestartPolicyAlways || *pod.Spec.TerminationGracePeriodSeconds != 30 {
			t.Errorf("no defaults: %+v", pod.Spec)
		}
		if got != want {
			t.Errorf("%s\n%s\nwant %s", text, got, want)
		}
	}
}
