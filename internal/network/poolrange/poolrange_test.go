package poolrange

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func pool(name string, ips ...string) *spiderpoolv2beta1.SpiderIPPool {
	return &spiderpoolv2beta1.SpiderIPPool{
		TypeMeta:   metav1.TypeMeta{APIVersion: spiderpoolv2beta1.SchemeGroupVersion.String(), Kind: "SpiderIPPool"},
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "2"}, Spec: spiderpoolv2beta1.IPPoolSpec{IPs: ips},
	}
}

// What there is is known once the watcher has synced, and each change is told.
func TestFollowsPools(t *testing.T) {
	events := make(chan watch.Event)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Has("sendInitialEvents") { // an API server that lists
			refused := apierrors.NewInvalid(spiderpoolv2beta1.SchemeGroupVersion.WithKind("ListOptions").GroupKind(), "", nil).Status()
			w.WriteHeader(int(refused.Code))
			_ = json.NewEncoder(w).Encode(refused)
			return
		}
		if r.URL.Query().Get("watch") == "" {
			_ = json.NewEncoder(w).Encode(&spiderpoolv2beta1.SpiderIPPoolList{
				TypeMeta: metav1.TypeMeta{APIVersion: spiderpoolv2beta1.SchemeGroupVersion.String(), Kind: "SpiderIPPoolList"},
				ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []spiderpoolv2beta1.SpiderIPPool{*pool("a", "10.6.0.5-10.6.0.9"), *pool("broken", "ten")},
			})
			return
		}
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case e := <-events:
				_ = json.NewEncoder(w).Encode(map[string]any{"type": e.Type, "object": e.Object})
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	said := make(chan []address.Span, 10)
	w, err := New(&rest.Config{Host: server.URL}, func(all []address.Span) { said <- all })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- w.Run(ctx, func() {}) }()
	next := func(want string) {
		t.Helper()
		select {
		case all := <-said:
			text, _ := json.Marshal(all)
			if string(text) != want {
				t.Errorf("%s, want %s", text, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("nothing is said, want %s", want)
		}
	}
	next(`[{"First":"10.6.0.5","Last":"10.6.0.9"}]`)
	select {
	case <-w.Synced().Done():
	case <-time.After(time.Minute):
		t.Fatal("not synced")
	}
	events <- watch.Event{Type: watch.Added, Object: pool("b", "10.6.0.10", "fd06::1")}
	next(`[{"First":"10.6.0.5","Last":"10.6.0.10"},{"First":"fd06::1","Last":"fd06::1"}]`)
	events <- watch.Event{Type: watch.Deleted, Object: pool("a", "10.6.0.5-10.6.0.9")}
	next(`[{"First":"10.6.0.10","Last":"10.6.0.10"},{"First":"fd06::1","Last":"fd06::1"}]`)
}
