package behaviour

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// CBOR is served when its feature gate says so.
func TestCBOR(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.CBORServingAndStorage, true)
	w := start(t)
	w.makeMap("a")
	a := w.get(maps+"/a", "Accept: application/cbor")
	var m corev1.ConfigMap
	if a.header.Get("Content-Type") != "application/cbor" || direct.Unmarshal([]byte(a.body), &m) != nil || m.Data["k"] != "v" {
		t.Fatalf("%d %v %q", a.code, a.header, a.body)
	}
	sent := w.do(http.MethodPut, maps+"/a", a.body, "Content-Type: application/cbor", "Accept: application/json")
	if sent.code != http.StatusOK || !strings.Contains(sent.body, `"k":"v"`) {
		t.Errorf("%d %s", sent.code, sent.body)
	}
}
