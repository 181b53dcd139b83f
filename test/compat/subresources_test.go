package compat

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// standard are the verbs of subresources that are a view of the object.
var standard = []string{"get", "patch", "update"}

// subresource exercises what a resource has beside its objects.
func (s *server) subresource(t *testing.T, r resource, sub string, example *unstructured.Unstructured) {
	name := example.GetName()
	switch sub {
	case "status", "approval":
		s.status(t, r, sub, example)
		return
	case "scale":
		s.scale(t, r, name)
		return
	}
	special, ok := specials[r.Resource+"/"+sub]
	if !ok {
		t.Fatalf("%s/%s is served, but nothing exercises it: add it to specials", r, sub)
	}
	if !slices.Equal(special.verbs, r.sub[sub]) {
		t.Errorf("offers %v, upstream %v", r.sub[sub], special.verbs)
	}
	special.do(t, s, r, name)
}

// status is written by patch and update, and leaves all else alone.
func (s *server) status(t *testing.T, r resource, sub string, example *unstructured.Unstructured) {
	if !slices.Equal(r.sub[sub], standard) {
		t.Errorf("offers %v", r.sub[sub])
	}
	want, ok := example.Object["status"]
	if !ok {
		t.Fatalf("the example of %s has no status", r)
	}
	c, ctx := s.resource(r), t.Context()
	if sub == "approval" {
		was, _, _ := unstructured.NestedSlice(example.Object, "status", "conditions") // they come to stay
		want = map[string]any{"conditions": append(was, map[string]any{"type": "Approved", "status": "True", "reason": "Tested", "message": "m"})}
	}
	before, err := c.Get(ctx, example.GetName(), metav1.GetOptions{}, sub)
	must(t, err)
	body, err := json.Marshal(map[string]any{"status": want})
	must(t, err)
	o, err := c.Patch(ctx, example.GetName(), types.MergePatchType, body, metav1.PatchOptions{}, sub)
	must(t, err)
	if !contains(o.Object["status"], want) {
		t.Errorf("status became %v, want %v", o.Object["status"], want)
	}
	if b, a := before.Object["spec"], o.Object["spec"]; !contains(a, b) {
		t.Errorf("spec became %v, was %v", a, b)
	}
	o.SetLabels(nil)
	if r.Resource != "namespaces" && r.Resource != "nodes" { // upstream: labels of these can be written through status
		if o, err = retryUpdate(t, c, o, sub); err != nil {
			t.Fatal(err)
		}
		_ = o
	}
}

// retryUpdate writes the status of o on whatever version there is.
func retryUpdate(t *testing.T, c dynamic.ResourceInterface, o *unstructured.Unstructured, sub string) (*unstructured.Unstructured, error) {
	t.Helper()
	for {
		got, err := c.Update(t.Context(), o, metav1.UpdateOptions{}, sub)
		if !apierrors.IsConflict(err) {
			return got, err
		}
		now, err := c.Get(t.Context(), o.GetName(), metav1.GetOptions{})
		must(t, err)
		o.SetResourceVersion(now.GetResourceVersion())
	}
}

func (s *server) scale(t *testing.T, r resource, name string) {
	if !slices.Equal(r.sub["scale"], standard) {
		t.Errorf("offers %v", r.sub["scale"])
	}
	c, ctx := s.resource(r), t.Context()
	got, err := c.Get(ctx, name, metav1.GetOptions{}, "scale")
	must(t, err)
	if got.GetKind() != "Scale" || got.GetAPIVersion() != "autoscaling/v1" {
		t.Fatalf("got %v", got)
	}
	must(t, unstructured.SetNestedField(got.Object, int64(1), "spec", "replicas"))
	_, err = retryUpdate(t, c, got, "scale")
	must(t, err)
	_, err = c.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{}, "scale")
	must(t, err)
	o, err := c.Get(ctx, name, metav1.GetOptions{})
	must(t, err)
	if n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas"); n != 3 {
		t.Errorf("%d replicas after scaling to 3", n)
	}
	_, err = c.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{}, "scale")
	must(t, err)
}

// contains says that everything in want is in got.
func contains(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for k, v := range w {
			ok = ok && contains(g[k], v)
		}
		return ok
	case []any:
		g, _ := got.([]any)
		return !slices.ContainsFunc(w, func(v any) bool {
			return !slices.ContainsFunc(g, func(have any) bool { return contains(have, v) })
		})
	default:
		if got == nil && want == "" {
			return true // left out because it is empty
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		return string(a) == string(b)
	}
}

// special is a subresource with ways of its own.
type special struct {
	verbs []string
	do    func(t *testing.T, s *server, r resource, name string)
}

var (
	connect = []string{"create", "get"}
	proxied = []string{"create", "delete", "get", "patch", "update"}
)

// Streams and proxies need a machine; what is said without one is upstream's
// answer, and test/e2e has them with one.
var specials = map[string]special{
	"namespaces/finalize": {[]string{"update"}, func(t *testing.T, s *server, _ resource, name string) {
		ns, err := s.Client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, "example.com/tested")
		ns, err = s.Client.CoreV1().Namespaces().Finalize(t.Context(), ns, metav1.UpdateOptions{})
		must(t, err)
		ns.Spec.Finalizers = ns.Spec.Finalizers[:1]
		ns, err = s.Client.CoreV1().Namespaces().Finalize(t.Context(), ns, metav1.UpdateOptions{})
		must(t, err)
		if !slices.Equal(ns.Spec.Finalizers, []corev1.FinalizerName{corev1.FinalizerKubernetes}) {
			t.Errorf("finalizers %v", ns.Spec.Finalizers)
		}
	}},
	"serviceaccounts/token": {[]string{"create"}, func(t *testing.T, s *server, r resource, name string) {
		s.send(t, r, http.MethodPost, name, "token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["a"]}}`, "")
	}},
	"pods/binding": {[]string{"create"}, func(t *testing.T, s *server, r resource, _ string) {
		s.makePod(t, "bound")
		s.send(t, r, http.MethodPost, "bound", "binding", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"bound"},"target":{"kind":"Node","name":"nowhere"}}`, "")
		pod, err := s.Client.CoreV1().Pods(namespace).Get(t.Context(), "bound", metav1.GetOptions{})
		must(t, err)
		if pod.Spec.NodeName != "nowhere" {
			t.Errorf("bound to %q", pod.Spec.NodeName)
		}
	}},
	"pods/eviction": {[]string{"create"}, func(t *testing.T, s *server, r resource, _ string) {
		s.makePod(t, "evicted")
		s.send(t, r, http.MethodPost, "evicted", "eviction", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"evicted"}}`, "")
		if _, err := s.Client.CoreV1().Pods(namespace).Get(t.Context(), "evicted", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("after the eviction: %v", err)
		}
	}},
	"pods/ephemeralcontainers": {standard, func(t *testing.T, s *server, r resource, name string) {
		s.send(t, r, http.MethodPatch, name, "ephemeralcontainers", `{"spec":{"ephemeralContainers":[{"name":"d","image":"busybox"}]}}`, "")
		pod, err := s.Client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		if len(pod.Spec.EphemeralContainers) != 1 {
			t.Errorf("%d ephemeral containers", len(pod.Spec.EphemeralContainers))
		}
		pod.ResourceVersion = "" // the scheduler writes too
		_, err = s.Client.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), name, pod, metav1.UpdateOptions{})
		must(t, err)
		s.send(t, r, http.MethodGet, name, "ephemeralcontainers", "", "")
	}},
	"pods/resize": {standard, func(t *testing.T, s *server, r resource, _ string) {
		s.makePod(t, "resized")
		s.send(t, r, http.MethodPatch, "resized", "resize", `{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"7m"}}}]}}`, "")
		pod, err := s.Client.CoreV1().Pods(namespace).Get(t.Context(), "resized", metav1.GetOptions{})
		must(t, err)
		if got := pod.Spec.Containers[0].Resources.Requests.Cpu().String(); got != "7m" {
			t.Errorf("resized to %s", got)
		}
		pod.ResourceVersion = "" // the scheduler writes too
		_, err = s.Client.CoreV1().Pods(namespace).UpdateResize(t.Context(), "resized", pod, metav1.UpdateOptions{})
		must(t, err)
		s.send(t, r, http.MethodGet, "resized", "resize", "", "")
	}},
	"pods/log":         {[]string{"get"}, podStream(http.MethodGet, "log")},
	"pods/attach":      {connect, podStream(http.MethodPost, "attach")},
	"pods/exec":        {connect, podStream(http.MethodPost, "exec")},
	"pods/portforward": {connect, podStream(http.MethodPost, "portforward")},
	"pods/proxy":       {proxied, unreachable("proxy")},
	"services/proxy":   {proxied, unreachable("proxy")},
	"nodes/proxy":      {proxied, unreachable("proxy")},
}
