package cni

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// TestFollowsTheNodesEndpoints runs the reflector against a server that
// streams its list and then one change.
func TestFollowsTheNodesEndpoints(t *testing.T) {
	asked := make(chan string, 10)
	more := make(chan *spiderpoolv2beta1.SpiderEndpoint)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path + "?" + r.URL.Query().Get("fieldSelector"):
		default:
		}
		w.Header().Set("Content-Type", "application/json")
		send := func(kind string, e *spiderpoolv2beta1.SpiderEndpoint) {
			e.APIVersion, e.Kind = spiderpoolv2beta1.SchemeGroupVersion.String(), "SpiderEndpoint"
			_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": e})
			w.(http.Flusher).Flush()
		}
		one := endpoint("web-0", "u0", "10.42.0.2/16")
		one.ResourceVersion = "5"
		send("ADDED", one)
		end := &spiderpoolv2beta1.SpiderEndpoint{}
		end.ResourceVersion, end.Annotations = "5", map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		send("BOOKMARK", end)
		for {
			select {
			case e := <-more:
				send("MODIFIED", e)
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer api.Close()
	g := newGrants()
	watch, err := g.follow(&rest.Config{Host: api.URL}, "n1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { watch(ctx); close(ended) }()
	if got := <-asked; got != "/apis/spiderpool.spidernet.io/v2beta1/spiderendpoints?status.current.node=n1" {
		t.Error(got)
	}
	name := types.NamespacedName{Namespace: "default", Name: "web-0"}
	within, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if _, err := g.wait(within, pod{name, "u0"}); err != nil {
		t.Fatal(err)
	}
	again := endpoint("web-0", "u1", "10.42.0.2/16")
	again.ResourceVersion = "6"
	more <- again
	if _, err := g.wait(within, pod{name, "u1"}); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
}

// Nobody waits for the address of a pod that is to end, nor of one that the
// node does not have; who does not know waits.
func TestNobodyWaitsForAPodThatEnds(t *testing.T) {
	ending := map[types.UID]chan struct{}{"ends": make(chan struct{}), "stays": make(chan struct{})}
	s := &Server{grants: newGrants(), wait: time.Hour, config: Config{Ending: func(uid types.UID) <-chan struct{} { return ending[uid] }}}
	failed := make(chan error, 1)
	wait := func(ctx context.Context, uid string) error {
		p := pod{types.NamespacedName{Namespace: "default", Name: "p"}, uid}
		within, cancel := s.whileWanted(ctx, p)
		defer cancel()
		_, err := s.grants.wait(within, p)
		return err
	}
	go func() { failed <- wait(t.Context(), "ends") }()
	close(ending["ends"])
	if err := <-failed; !errors.Is(err, errEnding) || err.Error() != "gave up waiting for the address of pod default/p: the pod is to end" {
		t.Error(err)
	}
	for _, uid := range []string{"stays", "unknown", ""} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { failed <- wait(ctx, uid) }()
		select {
		case err := <-failed:
			t.Errorf("%q does not wait: %v", uid, err)
		default:
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", uid, err)
		}
	}
}
