package server

import (
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// reviews is an API server that knows one token, and lets its user read a node's
// metrics and pods.
func reviews(t *testing.T) (client kubernetes.Interface, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/tokenreviews"):
			var review authenticationv1.TokenReview
			if err := json.Unmarshal(body, &review); err != nil {
				t.Error(err)
			}
			if review.Status.Authenticated = review.Spec.Token == "good"; review.Status.Authenticated {
				review.Status.User = authenticationv1.UserInfo{Username: "system:serviceaccount:monitoring:prometheus", Groups: []string{"system:serviceaccounts"}}
			}
			_ = json.NewEncoder(w).Encode(review)
		case strings.HasSuffix(r.URL.Path, "/subjectaccessreviews"):
			var review authorizationv1.SubjectAccessReview
			if err := json.Unmarshal(body, &review); err != nil {
				t.Error(err)
			}
			a := review.Spec.ResourceAttributes
			review.Status.Allowed = review.Spec.User == "system:serviceaccount:monitoring:prometheus" && a.Verb == "get" && a.Resource == "nodes" && a.Name == "n1" &&
				(a.Subresource == "metrics" || a.Subresource == "pods")
			_ = json.NewEncoder(w).Encode(review)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(api.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: api.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return client, asked
}

// Who has a token may do what the API server allows, and the API server itself is
// let in without a question.
func TestTokens(t *testing.T) {
	client, asked := reviews(t)
	access, err := NewAccess(client)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	s := New(Config{NodeName: "n1", Pods: w.server.cfg.Pods, Runtime: w.server.cfg.Runtime, Access: access})
	ask := func(method, path, token string) (int, string) {
		r := httptest.NewRequest(method, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		out := httptest.NewRecorder()
		s.Handler().ServeHTTP(out, r)
		return out.Code, strings.TrimSpace(out.Body.String())
	}
	const prometheus = "user=system:serviceaccount:monitoring:prometheus"
	for _, c := range []struct {
		method, path, token string
		code                int
		says                string
	}{
		{"GET", "/metrics", "good", 200, "kubelet_running_pods"},
		{"GET", "/metrics/resource", "good", 200, ""},
		{"GET", "/pods", "good", 200, "PodList"},
		{"GET", "/stats/summary", "good", 403, "Forbidden (" + prometheus + ", verb=get, resource=nodes, subresource(s)=[stats])"},
		{"GET", "/healthz", "good", 403, "Forbidden (" + prometheus + ", verb=get, resource=nodes, subresource(s)=[healthz proxy])"},
		{"GET", "/containerLogs/ns/p/c", "good", 403, "Forbidden (" + prometheus + ", verb=get, resource=nodes, subresource(s)=[proxy])"},
		{"POST", "/exec/ns/p/c", "good", 403, "Forbidden (" + prometheus + ", verb=create, resource=nodes, subresource(s)=[proxy])"},
		{"GET", "/metricsandmore", "good", 403, "[proxy]"},
		{"GET", "/metrics", "bad", 401, "Unauthorized"},
		{"GET", "/metrics", "", 401, "Unauthorized"},
	} {
		if code, text := ask(c.method, c.path, c.token); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%s %s with %q: %d %.200s", c.method, c.path, c.token, code, text)
		}
	}
	// Answers are kept for a while.
	before := asked.Load()
	if code, _ := ask("GET", "/metrics", "good"); code != 200 || asked.Load() != before {
		t.Errorf("%d, asked %d times more", code, asked.Load()-before)
	}
	r, err := w.client(t, pkix.Name{CommonName: "kube-apiserver-kubelet-client"}).Get("https://" + w.addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 200 || asked.Load() != before {
		t.Errorf("the API server: %d, asked %d times", r.StatusCode, asked.Load()-before)
	}
}
