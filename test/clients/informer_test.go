package clients

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
)

// home is a server whose restarts keep its address, or hide it from clients.
type home struct {
	*apitest.Env
	port   int
	hidden bool
}

func newHome(t *testing.T) *home {
	h := &home{}
	h.Env = apitest.Start(t, func(c *apiserver.Config) {
		if !h.hidden {
			c.Port = h.port
		}
	})
	h.port = h.listens()
	return h
}

func (h *home) listens() int { return h.Server.Addr().(*net.TCPAddr).Port }

// away restarts the server twice; clients do not see what f does in between.
func (h *home) away(f func()) {
	h.hidden = true
	h.Restart()
	f()
	h.hidden = false
	h.Restart()
}

// compact drops the datastore's history.
func (h *home) compact(t *testing.T) {
	t.Helper()
	now, err := h.Store.Client.KV.Get(t.Context(), "/")
	must(t, err)
	_, err = h.Store.Client.Compact(t.Context(), now.Header.Revision)
	must(t, err)
}

// observer is an informer that notes what it is told.
type observer struct {
	cache.SharedIndexInformer
	whole *atomic.Int32 // requests for everything there is

	mu     sync.Mutex
	events map[string]int // "add NAME", "update NAME", "same NAME", "delete NAME"
}

func (o *observer) note(what string, obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events[what+" "+obj.(*corev1.ConfigMap).Name]++
}

// taken returns what happened since it was last called; hearing of an object
// again that is unchanged is nothing.
func (o *observer) taken() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.events
	o.events = map[string]int{}
	maps.DeleteFunc(out, func(what string, _ int) bool { return strings.HasPrefix(what, "same ") })
	return out
}

func (o *observer) holds(name, value string) bool {
	obj, ok, _ := o.GetStore().GetByKey("default/" + name)
	return ok && obj.(*corev1.ConfigMap).Data["v"] == value
}

type counting struct {
	http.RoundTripper
	whole *atomic.Int32
}

func (c counting) RoundTrip(req *http.Request) (*http.Response, error) {
	q := req.URL.Query()
	if strings.HasSuffix(req.URL.Path, "/configmaps") && req.Method == http.MethodGet && (q.Get("watch") == "" || q.Get("sendInitialEvents") == "true") {
		c.whole.Add(1)
	}
	return c.RoundTripper.RoundTrip(req)
}

func (h *home) observe(t *testing.T) *observer {
	t.Helper()
	o := &observer{whole: &atomic.Int32{}, events: map[string]int{}}
	config := rest.CopyConfig(h.TLS)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return counting{rt, o.whole} })
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"))
	o.SharedIndexInformer = factory.Core().V1().ConfigMaps().Informer()
	_, err = o.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { o.note("add", obj) },
		UpdateFunc: func(old, obj any) {
			if old.(*corev1.ConfigMap).ResourceVersion == obj.(*corev1.ConfigMap).ResourceVersion {
				o.note("same", obj)
				return
			}
			o.note("update", obj)
		},
		DeleteFunc: func(obj any) { o.note("delete", obj) },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	factory.StartWithContext(ctx)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	if !cache.WaitForCacheSync(ctx.Done(), o.HasSynced) {
		t.Fatal("the informer did not start")
	}
	return o
}

func (h *home) set(t *testing.T, name, value string) {
	t.Helper()
	maps := h.Client.CoreV1().ConfigMaps("default")
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"v": value}}
	_, err := maps.Update(t.Context(), cm, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(t.Context(), cm, metav1.CreateOptions{})
	}
	must(t, err)
}

func (h *home) remove(t *testing.T, name string) {
	t.Helper()
	must(t, h.Client.CoreV1().ConfigMaps("default").Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// expect waits for the last of several changes and then compares all of them.
func (o *observer) expect(t *testing.T, last, value string, want map[string]int) {
	t.Helper()
	until(t, last+" in the informer", func(context.Context) (bool, error) { return o.holds(last, value), nil })
	until(t, "the events", func(context.Context) (bool, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.events["add "+last]+o.events["update "+last] > 0, nil
	})
	if diff := cmp.Diff(want, o.taken()); diff != "" {
		t.Errorf("events:\n%s", diff)
	}
}

// TestInformerSurvivesRestarts checks that a client-go informer misses nothing
// when the server goes away and comes back, and hears nothing that is not so.
func TestInformerSurvivesRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	h := newHome(t)
	const untouched = 20
	for i := range untouched {
		h.set(t, fmt.Sprintf("calm-%d", i), "1")
	}
	h.set(t, "a", "1")
	h.set(t, "b", "1")
	o := h.observe(t)
	if got := o.taken(); len(got) != untouched+2 {
		t.Errorf("at first: %v", got)
	}
	read := func(t *testing.T) { t.Helper(); t.Logf("everything was read %d times", o.whole.Load()) }

	t.Run("nothing changes", func(t *testing.T) {
		h.Restart()
		h.set(t, "z", "1")
		o.expect(t, "z", "1", map[string]int{"add z": 1})
		read(t)
	})
	t.Run("changes meanwhile", func(t *testing.T) {
		h.away(func() {
			h.set(t, "a", "2")
			h.remove(t, "b")
			h.set(t, "c", "1")
		})
		h.set(t, "z", "2")
		o.expect(t, "z", "2", map[string]int{"update a": 1, "delete b": 1, "add c": 1, "update z": 1})
		read(t)
	})
	t.Run("changes meanwhile and history is gone", func(t *testing.T) {
		o = h.observe(t) // which has not learned yet to wait long between attempts
		o.taken()
		h.away(func() {
			h.set(t, "a", "3")
			h.remove(t, "c")
			h.set(t, "d", "1")
			h.remove(t, "calm-0")
			h.set(t, "calm-0", "made anew")
			h.compact(t)
		})
		h.set(t, "z", "3")
		o.expect(t, "z", "3", map[string]int{"update a": 1, "delete c": 1, "add d": 1, "update calm-0": 1, "update z": 1})
		read(t)
	})
	if n := len(o.GetStore().List()); n != untouched+3 {
		t.Errorf("%d objects in the informer", n)
	}
}

// TestOldVersionsAfterRestart checks the words by which clients learn that they
// must read everything again.
func TestOldVersionsAfterRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	h := newHome(t)
	for i := range 5 {
		h.set(t, fmt.Sprintf("m-%d", i), "1")
	}
	ctx := t.Context()
	page, err := h.Client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{Limit: 2})
	must(t, err)
	h.Restart()
	rest, err := h.Client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{Continue: page.Continue})
	must(t, err)
	if len(page.Items)+len(rest.Items) != 5 || rest.ResourceVersion != page.ResourceVersion {
		t.Errorf("pages of %d and %d, versions %s and %s", len(page.Items), len(rest.Items), page.ResourceVersion, rest.ResourceVersion)
	}
	h.set(t, "m-0", "2")
	h.compact(t)
	h.Restart()
	_, err = h.Client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{Continue: page.Continue})
	if !apierrors.IsResourceExpired(err) || !strings.Contains(err.Error(), "The provided continue parameter is too old to display a consistent list result.") {
		t.Errorf("continued: %v", err)
	}
	_, err = h.Client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{ResourceVersion: page.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("an exact version: %v", err)
	}
	w, err := h.Client.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{ResourceVersion: page.ResourceVersion})
	if err == nil {
		event := <-w.ResultChan()
		w.Stop()
		err = apierrors.FromObject(event.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) || !strings.Contains(err.Error(), "too old resource version") {
		t.Errorf("watched: %v", err)
	}
}
