package fuzz

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api"
)

// endlessQuantities are what the library reads for ever, or computes with for
// ever; upstream's server does, so there is no answer of it to compare with.
var endlessQuantities = []string{`"1e-2147483647"`, `"1e2147483646"`, `1e-2147483647`, `"\u0031E-2147483647"`, `"1` + strings.Repeat("0", 100_000) + `"`}

// soon is how long such a request may take on a busy machine.
const soon = 5 * time.Second

func endlessQuestions(q string) []question {
	const (
		claims = "/api/v1/namespaces/default/persistentvolumeclaims"
		pods   = "/api/v1/namespaces/default/pods"
	)
	limits := `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"q"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":` + q + `}}}]}}`
	return []question{
		post("claim", claims, "", "", []byte(`{"metadata":{"name":"q"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":`+q+`}}}}`)),
		post("pod", pods, "", "application/json", []byte(limits)),
		post("pod in YAML", pods, "", "application/yaml", []byte(strings.ReplaceAll(limits, "1e-2147483647}", "'1e-2147483647'}"))),
		post("pod among config maps", maps, "", "", []byte(limits)),
		post("pod as a review", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "", "", []byte(limits)),
		post("emptyDir", pods, "", "", []byte(`{"metadata":{"name":"q"},"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":`+q+`}}],"containers":[{"name":"c","image":"i"}]}}`)),
		patch("applied", pods+"/q", "fieldManager=m", "application/apply-patch+yaml", limits),
		patch("strategic", "/api/v1/nodes/n1/status", "", "application/strategic-merge-patch+json", `{"status":{"capacity":{"cpu":`+q+`}}}`),
		patch("merge", "/api/v1/nodes/n1", "", "application/merge-patch+json", `{"status":{"capacity":{"cpu":`+q+`}}}`),
		patch("steps", "/api/v1/nodes/n1", "", "application/json-patch+json", `[{"op":"add","path":"/status/capacity","value":{"cpu":`+q+`}}]`),
		{"options", request{Method: "DELETE", Path: pods + "/q", Body: []byte(limits)}},
	}
}

// TestEndlessQuantities sends what would keep the server busy for ever, in
// every encoding and by every verb. The answer comes soon and says where it is.
func TestEndlessQuantities(t *testing.T) {
	w := newWorld(t)
	for _, text := range endlessQuantities {
		for i, question := range endlessQuestions(text) {
			d := []door{w.memory, w.tls}[i%2]
			if inYAML := question.name == "pod in YAML" || question.name == "applied"; inYAML && text == endlessQuantities[2] {
				continue // a plain number is zero in YAML
			}
			t.Run(fmt.Sprintf("%.15s/%s", text, question.name), func(t *testing.T) { refusedSoon(t, d, question.request) })
		}
	}
	t.Run("protobuf", func(t *testing.T) {
		refusedSoon(t, w.memory, request{Method: "POST", Path: maps, Header: header("Content-Type", proto), Body: inProtobuf(t)})
	})
}

func refusedSoon(t *testing.T, d door, r request) {
	t.Helper()
	begun := time.Now()
	got := d.send(t, r)
	_, message, _ := got.status()
	if took := time.Since(begun); took > soon {
		t.Errorf("the answer took %s", took)
	}
	if got.Code != 400 || !strings.Contains(message, ": quantity ") {
		t.Errorf("got %d %v: %s", got.Code, got.Err, got.Body)
	}
}

// inProtobuf is a pod that asks for the wrong amount. The library cannot hold
// one, so a sound amount of the same length is replaced.
func inProtobuf(t *testing.T) []byte {
	t.Helper()
	const sound, wrong = "1234567890123", "1e-2147483647"
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "q"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse(sound)}},
		}}},
	}
	info, ok := runtime.SerializerInfoForMediaType(api.Codecs.SupportedMediaTypes(), proto)
	if !ok {
		t.Fatal("no protobuf")
	}
	text, err := runtime.Encode(info.Serializer, pod)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.Replace(string(text), sound, wrong, 1))
}

// TestEndlessQuantitiesInRules checks the functions of rules, which meet text
// that is no quantity before a rule takes it for one.
func TestEndlessQuantitiesInRules(t *testing.T) {
	w := newWorld(t)
	crd := `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"amounts.q.example.com"},"spec":{"group":"q.example.com","scope":"Cluster",
"names":{"plural":"amounts","singular":"amount","kind":"Amount"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"size":{"type":"string","maxLength":5000,
"x-kubernetes-validations":[{"rule":"isQuantity(self) && quantity(self).isGreaterThan(quantity('1Gi'))","message":"more, please"}]}}}}}]}}`
	if got := w.memory.send(t, request{Method: "POST", Path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Body: []byte(crd)}); got.Code != 201 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	const path = "/apis/q.example.com/v1/amounts"
	create := func(name, size string) answer {
		return w.memory.send(t, request{Method: "POST", Path: path, Body: fmt.Appendf(nil, `{"apiVersion":"q.example.com/v1","kind":"Amount","metadata":{"name":%q},"size":%s}`, name, size)})
	}
	var got answer
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(10 * time.Millisecond) { // until it is served
		if got = create("a", `"2Gi"`); got.Code != 404 {
			break
		}
	}
	if got.Code != 201 {
		t.Fatalf("a sound amount: %d %s", got.Code, got.Body)
	}
	for _, size := range append(endlessQuantities[:2:2], endlessQuantities[3], `"1Gi"`, `"lots"`) {
		begun := time.Now()
		if got := create("b", size); got.Code != 422 || !strings.Contains(string(got.Body), "more, please") {
			t.Errorf("%s: %d %s", size, got.Code, got.Body)
		}
		if took := time.Since(begun); took > soon {
			t.Errorf("%s: the answer took %s", size, took)
		}
	}
}
