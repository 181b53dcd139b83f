package admission_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/pki"
)

// server is the real API server with everything that admits requests.
type server struct {
	*apitest.Env
	t        *testing.T
	warnings *warnings
}

func start(t *testing.T, tune ...func(*apiserver.Config)) *server {
	t.Helper()
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, warnings: &warnings{}}
	s.Env = apitest.Start(t, func(c *apiserver.Config) {
		if err := secure.Apply(c, secure.Options{PKI: set}); err != nil {
			t.Fatal(err)
		}
		for _, f := range tune {
			f(c)
		}
	})
	s.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}")
	return s
}

// warnings keeps what the server warns about.
type warnings struct{ list []string }

func (w *warnings) HandleWarningHeader(_ int, _, message string) { w.list = append(w.list, message) }

func (w *warnings) take() []string {
	list := w.list
	w.list = nil
	return list
}

func (s *server) resource(object *unstructured.Unstructured, config *rest.Config) dynamic.ResourceInterface {
	s.t.Helper()
	config = rest.CopyConfig(config)
	config.WarningHandler = s.warnings
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		s.t.Fatal(err)
	}
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	switch {
	case resource.Resource == "endpointses":
		resource.Resource = "endpoints"
	case clusterScoped[object.GetKind()]:
		return client.Resource(resource)
	}
	if object.GetNamespace() == "" {
		object.SetNamespace("default")
	}
	return client.Resource(resource).Namespace(object.GetNamespace())
}

var clusterScoped = map[string]bool{
	"Namespace": true, "StorageClass": true, "RuntimeClass": true, "PriorityClass": true, "IngressClass": true, "CustomResourceDefinition": true, "Node": true,
	"ClusterRole": true, "ClusterRoleBinding": true, "PersistentVolume": true,
	"ValidatingWebhookConfiguration": true, "MutatingWebhookConfiguration": true, "ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	"MutatingAdmissionPolicy": true, "MutatingAdmissionPolicyBinding": true,
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return object
}

// create makes an object as an administrator.
func (s *server) create(text string) (*unstructured.Unstructured, error) {
	s.t.Helper()
	object := parse(s.t, text)
	return s.resource(object, s.Config).Create(s.t.Context(), object, metav1.CreateOptions{})
}

func (s *server) dryRun(text string) (*unstructured.Unstructured, error) {
	s.t.Helper()
	object := parse(s.t, text)
	return s.resource(object, s.Config).Create(s.t.Context(), object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// apply creates what must be accepted; several objects are divided by "---".
func (s *server) apply(text string) *unstructured.Unstructured {
	s.t.Helper()
	var last *unstructured.Unstructured
	for _, one := range strings.Split(text, "\n---\n") {
		made, err := s.create(one)
		if err != nil {
			s.t.Fatal(err)
		}
		last = made
	}
	return last
}

func (s *server) remove(text string) {
	s.t.Helper()
	object := parse(s.t, text)
	if err := s.resource(object, s.Config).Delete(s.t.Context(), object.GetName(), metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// until tries again while the server's informers catch up with what was just made.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func podNamed(name string) string {
	return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {automountServiceAccountToken: false, containers: [{name: c, image: demo}]}}"
}

func (s *server) pod(name string) *corev1.Pod {
	s.t.Helper()
	pod, err := s.Client.CoreV1().Pods("default").Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return pod
}
