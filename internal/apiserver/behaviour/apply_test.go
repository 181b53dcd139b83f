package behaviour

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// owners tells who manages what, as "manager operation subresource: fields".
func owners(m metav1.ObjectMeta) []string {
	var out []string
	for _, f := range m.ManagedFields {
		out = append(out, strings.TrimSpace(f.Manager+" "+string(f.Operation)+" "+f.Subresource)+": "+f.FieldsV1.GetRawString())
	}
	slices.Sort(out)
	return out
}

func TestServerSideApply(t *testing.T) {
	w := start(t)
	apply := func(manager, data string, more ...string) answer {
		body := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {" + data + "}\n"
		return w.do(http.MethodPatch, maps+"/m?fieldManager="+manager+strings.Join(more, ""), body, applyPatch)
	}
	if a := apply("one", "a: '1', b: '1'"); a.code != http.StatusCreated {
		t.Fatalf("apply creates: %d %s", a.code, a.body)
	}
	first := into[corev1.ConfigMap](t, w.get(maps+"/m"))
	if a := apply("one", "a: '1', b: '1'"); a.code != http.StatusOK || into[corev1.ConfigMap](t, a).ResourceVersion != first.ResourceVersion {
		t.Errorf("the same again writes: %s", a.body)
	}
	s := apply("two", "a: '2', c: '2'").status(t, http.StatusConflict, "Conflict", `Apply failed with 1 conflict: conflict with "one": .data.a`)
	if s.Details == nil || len(s.Details.Causes) != 1 || s.Details.Causes[0].Type != metav1.CauseTypeFieldManagerConflict || s.Details.Causes[0].Field != ".data.a" || s.Details.Causes[0].Message != `conflict with "one"` {
		t.Errorf("details: %+v", s.Details)
	}
	// The same value makes both owners.
	shared := into[corev1.ConfigMap](t, apply("two", "a: '1', c: '2'"))
	if got, want := owners(shared.ObjectMeta), []string{`one Apply: {"f:data":{"f:a":{},"f:b":{}}}`, `two Apply: {"f:data":{"f:a":{},"f:c":{}}}`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// What one drops stays while another owns it, and goes with its last owner.
	if m := into[corev1.ConfigMap](t, apply("one", "b: '1'")); m.Data["a"] != "1" {
		t.Errorf("dropped by one of two: %v", m.Data)
	}
	if m := into[corev1.ConfigMap](t, apply("two", "c: '2'")); len(m.Data) != 2 {
		t.Errorf("dropped by the last owner: %v", m.Data)
	}
	forced := into[corev1.ConfigMap](t, apply("two", "b: '2'", "&force=true"))
	if got, want := owners(forced.ObjectMeta), []string{`two Apply: {"f:data":{"f:b":{}}}`}; !slices.Equal(got, want) || forced.Data["b"] != "2" {
		t.Errorf("forced: %v, want %v", got, want)
	}
	// An update takes fields over.
	w.must(http.MethodPatch, maps+"/m?fieldManager=kubectl-edit", `{"data":{"b":"3"}}`, mergePatch)
	apply("two", "b: '2'").status(t, http.StatusConflict, "Conflict", `Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .data.b`)
	// Mistakes.
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}`
	w.do(http.MethodPatch, maps+"/m", body, applyPatch).status(t, http.StatusUnprocessableEntity, "Invalid", `PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch`)
	w.do(http.MethodPatch, maps+"/m?force=true", `{}`, mergePatch).status(t, http.StatusUnprocessableEntity, "Invalid", "force: Forbidden: may not be specified for non-apply patch")
	w.do(http.MethodPatch, maps+"/m?fieldManager=a", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","managedFields":[{"manager":"x"}]}}`, applyPatch).
		status(t, http.StatusBadRequest, "BadRequest", "metadata.managedFields must be nil")
	w.do(http.MethodPatch, maps+"/m?fieldManager=a", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other"}}`, applyPatch).
		status(t, http.StatusBadRequest, "BadRequest", "the name of the object (other) does not match the name on the URL (m)")
	w.do(http.MethodPatch, maps+"/m?fieldManager=a", `{"apiVersion":"apps/v1","kind":"ConfigMap","metadata":{"name":"m"}}`, applyPatch).
		status(t, http.StatusBadRequest, "BadRequest", "invalid object type: apps/v1, Kind=ConfigMap")
	w.do(http.MethodPatch, maps+"/m?fieldManager=a", `: :`, applyPatch).status(t, http.StatusBadRequest, "BadRequest", "error encoding patch: yaml: did not find expected key")
	w.do(http.MethodPatch, maps+"/m?fieldManager="+strings.Repeat("a", 129), body, applyPatch).status(t, http.StatusUnprocessableEntity, "Invalid", "fieldManager: Too long: may not be more than 128 bytes")
	// Nobody is left when the list is emptied.
	cleared := into[corev1.ConfigMap](t, w.must(http.MethodPatch, maps+"/m", `{"metadata":{"managedFields":[{}]}}`, mergePatch))
	if len(cleared.ManagedFields) != 0 {
		t.Errorf("cleared: %v", owners(cleared.ObjectMeta))
	}
}

func TestApplyToLists(t *testing.T) {
	w := start(t)
	const at = "/api/v1/namespaces/default/services/s?fieldManager="
	ports := func(manager, ports string) answer {
		return w.do(http.MethodPatch, at+manager, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"type":"LoadBalancer","selector":{"a":"b"},"ports":[`+ports+`]}}`, applyPatch)
	}
	ports("one", `{"name":"a","port":80}`)
	both := into[corev1.Service](t, ports("two", `{"name":"b","port":81}`))
	if len(both.Spec.Ports) != 2 {
		t.Errorf("ports are a map by port and protocol: %+v", both.Spec.Ports)
	}
	if left := into[corev1.Service](t, ports("two", "")); len(left.Spec.Ports) != 1 || left.Spec.Ports[0].Port != 80 {
		t.Errorf("an item goes with its owner: %+v", left.Spec.Ports)
	}
	status := into[corev1.Service](t, w.must(http.MethodPatch, "/api/v1/namespaces/default/services/s/status?fieldManager=lb", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`, applyPatch))
	if !slices.ContainsFunc(owners(status.ObjectMeta), func(s string) bool { return strings.HasPrefix(s, "lb Apply status: ") }) {
		t.Errorf("owners of the status: %v", owners(status.ObjectMeta))
	}
}

func TestApplyToCustomResources(t *testing.T) {
	w := start(t)
	w.must(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets)
	const at = "/apis/example.com/v1/namespaces/default/widgets/w?fieldManager="
	body := func(spec string) string {
		return `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{` + spec + `}}`
	}
	var a answer
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
		if a = w.do(http.MethodPatch, at+"one", body(`"size":1`), applyPatch); a.code != http.StatusNotFound {
			break
		}
	}
	if a.code != http.StatusCreated {
		t.Fatalf("%d %s", a.code, a.body)
	}
	w.do(http.MethodPatch, at+"two", body(`"size":2`), applyPatch).status(t, http.StatusConflict, "Conflict", `Apply failed with 1 conflict: conflict with "one": .spec.size`)
	w.do(http.MethodPatch, at+"two", body(`"sise":2`), applyPatch).status(t, http.StatusInternalServerError, "", `.spec.sise: field not declared in schema`)
	if a = w.do(http.MethodPatch, at+"two&force=true", body(`"size":2`), applyPatch); a.code != http.StatusOK {
		t.Errorf("%d %s", a.code, a.body)
	}
	w.do(http.MethodPost, "/apis/example.com/v1/namespaces/default/widgets?fieldValidation=Strict", `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"x"},"spec":{"sise":1}}`).
		status(t, http.StatusBadRequest, "BadRequest", `strict decoding error: unknown field "spec.sise"`)
}
