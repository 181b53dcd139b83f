package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/test/e2e/cluster"
)

// witness watches the containers of a cluster through its runtime, whatever
// happens to berth, and remembers what must never have been.
type witness struct {
	c       *cluster.Cluster
	runtime *cri.Client
	web     *http.Client

	mu       sync.Mutex
	ran      map[string]map[string]bool // container IDs by pod UID
	names    map[string]string          // pod names by UID
	counter  map[string]int             // the last count of each pod name
	address  map[string]string          // the address of each pod name
	problems []string
}

func watch(t *testing.T, c *cluster.Cluster) *witness {
	t.Helper()
	client, err := cri.Dial(datadir.Dir(c.Data).RuntimeSocket()) // builds before this one have no other
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{
		c: c, runtime: client,
		web:     &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: c.Host.Dial, DisableKeepAlives: true}},
		ran:     map[string]map[string]bool{},
		names:   map[string]string{},
		counter: map[string]int{},
		address: map[string]string{},
	}
	w.initialized(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for every := time.NewTicker(25 * time.Millisecond); ctx.Err() == nil; <-every.C {
			w.look(ctx)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		client.Close()
	})
	return w
}

func (w *witness) problem(format string, a ...any) {
	p := fmt.Sprintf(format, a...)
	if !slices.Contains(w.problems, p) {
		w.problems = append(w.problems, p)
	}
}

// look takes one picture of the running containers.
func (w *witness) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, err := w.running(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	byName := map[string]string{}
	for _, item := range list {
		uid, name := item.Labels[cri.LabelPodUID], item.Labels[cri.LabelPodName]
		if w.ran[uid] == nil {
			w.ran[uid] = map[string]bool{}
		}
		w.ran[uid][item.Id] = true
		w.names[uid] = name
		if other, two := byName[name]; two {
			w.problem("%s ran twice at the same time: %s and %s", name, other, item.Id)
		}
		byName[name] = item.Id
	}
}

// initialized waits until the runtime answers, which it does not in the first
// moments of its life.
func (w *witness) initialized(t *testing.T) {
	t.Helper()
	w.c.Eventually(60*time.Second, "ready", func() string {
		if _, err := w.runtime.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{}); err != nil {
			return err.Error()
		}
		return "ready"
	})
}

func (w *witness) running(ctx context.Context) ([]*runtimeapi.Container, error) {
	list, err := w.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING},
	}})
	if err != nil {
		return nil, err
	}
	return list.Containers, nil
}

// visit asks every Ready pod for its count and notes its address. Pods that do
// not answer are left out: they may be on their way out.
func (w *witness) visit(pods []corev1.Pod) (answered int) {
	for _, pod := range pods {
		if pod.Status.PodIP == "" || pod.DeletionTimestamp != nil || !ready(&pod) {
			continue
		}
		said, err := w.ask(pod.Status.PodIP)
		if err != nil {
			continue
		}
		answered++
		w.mu.Lock()
		if said.Name != pod.Name {
			w.problem("%s is the address of %s and %s answers", pod.Status.PodIP, pod.Name, said.Name)
		}
		if last := w.counter[pod.Name]; said.Counter <= last {
			w.problem("%s counted %d after %d", pod.Name, said.Counter, last)
		}
		w.counter[pod.Name] = said.Counter
		if old, ok := w.address[pod.Name]; ok && old != pod.Status.PodIP {
			w.problem("%s moved from %s to %s", pod.Name, old, pod.Status.PodIP)
		}
		w.address[pod.Name] = pod.Status.PodIP
		w.mu.Unlock()
	}
	return answered
}

// forgetAddress says that an ordinal was scaled away: its address is free.
func (w *witness) forgetAddress(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.address, name)
}

type said struct {
	Name    string
	Counter int
}

func (w *witness) ask(ip string) (said, error) {
	var out said
	req, err := http.NewRequest(http.MethodGet, "http://"+ip+":8080/", nil)
	if err != nil {
		return out, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := w.web.Do(req)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(text, &out)
}

// verdict reports what the witness saw: problems, and pods whose container ran
// more than once.
func (w *witness) verdict(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for uid, ids := range w.ran {
		if len(ids) > 1 {
			w.problem("%s (%s) had %d containers: %s", w.names[uid], uid, len(ids), strings.Join(slices.Sorted(maps.Keys(ids)), " "))
		}
	}
	for _, p := range w.problems {
		t.Error(p)
	}
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
