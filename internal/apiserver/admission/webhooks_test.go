package admission_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// hook is a webhook that answers as it is told to and remembers its requests.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []*admissionv1.AdmissionRequest
	answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse
}

func newHook(t *testing.T, answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) *hook {
	t.Helper()
	h := &hook{answer: answer}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			t.Error(err)
			return
		}
		h.mu.Lock()
		h.asked = append(h.asked, review.Request)
		h.mu.Unlock()
		review.Response = h.answer(review.Request)
		review.Response.UID = review.Request.UID
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) requests() []*admissionv1.AdmissionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

// client is the clientConfig that reaches the hook.
func (h *hook) client() string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	return fmt.Sprintf(`{url: %q, caBundle: %s}`, h.URL, base64.StdEncoding.EncodeToString(ca))
}

func allow(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true}
}

func deny(message string) func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: message}, Warnings: []string{"mind this"}}
	}
}

const podRule = `rules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]`

func TestValidatingWebhook(t *testing.T) {
	s := start(t)
	h := newHook(t, deny("no pods today"))
	s.apply(podNamed("before"))
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: strict}
webhooks:
- name: pods.example.com
  sideEffects: None
  admissionReviewVersions: [v1]
  matchConditions: [{name: not-exempt, expression: 'object.metadata.name != "exempt"'}]
  objectSelector: {matchExpressions: [{key: free, operator: DoesNotExist}]}
  clientConfig: ` + h.client() + "\n  " + podRule)
	const why = `admission webhook "pods.example.com" denied the request: no pods today`
	until(t, "the webhook is asked", func() bool { _, err := s.dryRun(podNamed("a")); return err != nil })
	s.warnings.take()
	_, err := s.create(podNamed("a"))
	refused(t, err, why)
	if got := s.warnings.take(); len(got) != 1 || got[0] != "mind this" {
		t.Errorf("warnings %q", got)
	}
	asked := h.requests()
	last := asked[len(asked)-1]
	sent := &unstructured.Unstructured{}
	if err := json.Unmarshal(last.Object.Raw, &sent.Object); err != nil {
		t.Fatal(err)
	}
	if last.Kind.Kind != "Pod" || last.Operation != "CREATE" || last.Namespace != "default" || last.UserInfo.Username != "admin" || sent.GetKind() != "Pod" || sent.GetAPIVersion() != "v1" {
		t.Errorf("asked %+v about %s", last, last.Object.Raw)
	}
	s.apply(podNamed("exempt"))
	s.apply("{apiVersion: v1, kind: Pod, metadata: {name: free, labels: {free: a}}, spec: {containers: [{name: c, image: demo}]}}")

	t.Run("it holds after a restart, from the first request", func(t *testing.T) {
		s.Restart()
		_, err := s.create(podNamed("a"))
		refused(t, err, why)
	})
	t.Run("a failing webhook", func(t *testing.T) {
		h.Close()
		_, err := s.create(podNamed("a"))
		if err == nil || err.Error()[:55] != `Internal error occurred: failed calling webhook "pods.e` {
			t.Errorf("got %v", err)
		}
		_, err = s.resource(parse(t, "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration}"), s.Config).Patch(t.Context(), "strict", types.JSONPatchType,
			[]byte(`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the failure is ignored", func() bool { _, err := s.dryRun(podNamed("a")); return err == nil })
		s.apply(podNamed("a"))
	})
}

func TestMutatingWebhooks(t *testing.T) {
	s := start(t)
	patch := func(patch string) func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			return &admissionv1.AdmissionResponse{Allowed: true, PatchType: ptr.To(admissionv1.PatchTypeJSONPatch), Patch: []byte(patch)}
		}
	}
	first := newHook(t, allow)
	second := newHook(t, patch(`[{"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "car"}}]`))
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: m}
webhooks:
- {name: first.example.com, sideEffects: None, admissionReviewVersions: [v1], reinvocationPolicy: IfNeeded, clientConfig: ` + first.client() + ", " + podRule + `}
- {name: second.example.com, sideEffects: NoneOnDryRun, admissionReviewVersions: [v1], clientConfig: ` + second.client() + ", " + podRule + "}")
	until(t, "the webhooks are asked", func() bool { _, err := s.dryRun(podNamed("a")); return err == nil && len(second.requests()) > 0 })
	first.requests()
	made := s.apply(podNamed("a"))
	pod := s.pod("a")
	if len(pod.Spec.Containers) != 2 || pod.Spec.Containers[1].ImagePullPolicy != "Always" || made.GetKind() != "Pod" {
		t.Errorf("created %+v", pod.Spec.Containers)
	}
	if asked := first.requests(); len(asked) != 2 {
		t.Errorf("the first webhook was asked %d times; the second one has changed the pod", len(asked))
	}
	if asked := second.requests(); len(asked) != 1 || *asked[0].DryRun {
		t.Errorf("the second webhook was asked %+v", asked)
	}

	t.Run("bad patch", func(t *testing.T) {
		second.answer = patch(`[{"op": "remove", "path": "/none"}]`)
		_, err := s.create(podNamed("b"))
		refused(t, err, "Internal error occurred: error in remove for path: '/none': Unable to remove nonexistent key: none: missing value")
	})
	t.Run("slow", func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		second.answer = func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse { <-release; return allow(nil) }
		_, err := s.resource(parse(t, "{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration}"), s.Config).Patch(t.Context(), "m", types.JSONPatchType,
			[]byte(`[{"op": "replace", "path": "/webhooks/1/timeoutSeconds", "value": 1}]`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the timeout counts", func() bool {
			began := time.Now()
			_, err := s.create(podNamed("c"))
			return err != nil && time.Since(began) < 3*time.Second
		})
	})
}
