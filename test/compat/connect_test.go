package compat

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// makePod makes a pod that no node takes.
func (s *server) makePod(t *testing.T, name string) {
	t.Helper()
	_, err := s.Client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"is": "nowhere"},
			Containers: []corev1.Container{{Name: "c", Image: "nginx", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resourceapi.MustParse("5m")},
			}}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
}

// send makes a request on a subresource and wants success, or an error with the words.
func (s *server) send(t *testing.T, r resource, method, name, sub, body, words string) {
	t.Helper()
	request := s.rest.Verb(method).AbsPath(r.path(name, sub)...).SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json, */*")
	if method == http.MethodPatch {
		request.SetHeader("Content-Type", string(types.StrategicMergePatchType))
	}
	switch sub {
	case "exec":
		request.Param("container", "c").Param("command", "ls")
	case "attach", "log":
		request.Param("container", "c")
	}
	if body != "" {
		request.Body([]byte(body))
	}
	answer, err := request.Do(t.Context()).Raw()
	switch {
	case words == "" && err != nil:
		t.Fatalf("%s %s/%s: %v %s", method, name, sub, err, answer)
	case words != "" && (err == nil || !strings.Contains(err.Error()+string(answer), words)):
		t.Errorf("%s %s/%s: %v %s, want %q", method, name, sub, err, answer, words)
	}
}

// podStream is refused for a pod without a host.
func podStream(method, sub string) func(*testing.T, *server, resource, string) {
	return func(t *testing.T, s *server, r resource, name string) {
		if sub == "log" {
			s.send(t, r, method, name, sub, "", "") // upstream: nothing yet, not an error
			return
		}
		s.send(t, r, method, name, sub, "", "pod "+name+" does not have a host assigned")
	}
}

// unreachable wants an answer from every verb that nothing is behind the proxy.
func unreachable(sub string) func(*testing.T, *server, resource, string) {
	return func(t *testing.T, s *server, r resource, name string) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			answer := s.rest.Verb(method).AbsPath(r.path(name, sub)...).Do(t.Context())
			code := 0
			answer.StatusCode(&code)
			if !slices.Contains([]int{http.StatusBadRequest, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusNotFound}, code) {
				t.Errorf("%s gave %d: %v", method, code, answer.Error())
			}
		}
	}
}
