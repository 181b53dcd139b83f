package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/join"
)

func TestWhileQuorum(t *testing.T) {
	has, lose := context.WithCancel(t.Context())
	quorum := func() (context.Context, error) {
		if has.Err() != nil {
			return nil, errors.New("no quorum here")
		}
		return has, nil
	}
	watching := make(chan struct{})
	h := whileQuorum(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/watch" {
			close(watching)
			<-r.Context().Done()
		}
	}), quorum)
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	if w := ask("/api/v1/pods"); w.Code != http.StatusOK {
		t.Errorf("with a quorum: %d", w.Code)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); ask("/watch?watch=1") }()
	<-watching
	lose()
	<-ended // a watch would be silent
	w := ask("/api/v1/pods")
	var status metav1.Status
	if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || w.Code != http.StatusServiceUnavailable ||
		!strings.Contains(status.Message, "no quorum here") || w.Header().Get(join.NoQuorumHeader) == "" {
		t.Errorf("without: %d %s %v, %v", w.Code, w.Body, w.Header(), err)
	}
	for _, path := range []string{"/readyz", "/livez/etcd", "/metrics"} {
		if w := ask(path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
