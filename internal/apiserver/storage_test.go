package apiserver_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"berth.dev/berth/internal/apiserver/apitest"
	spiderpool "berth.dev/berth/spiderpool/v2beta1"
)

// TestKeysAndEncodingAreUpstreams reads what is stored past the API.
func TestKeysAndEncodingAreUpstreams(t *testing.T) {
	e := apitest.Start(t)
	must[*corev1.Node](t)(e.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{}))
	must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Create(t.Context(), newPod("p"), metav1.CreateOptions{}))
	pools := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(e.Config)).Resource(spiderpool.SchemeGroupVersion.WithResource("spiderippools"))
	pool := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": spiderpool.SchemeGroupVersion.String(), "kind": "SpiderIPPool",
		"metadata": map[string]any{"name": "a"},
		"spec":     map[string]any{"subnet": "10.1.0.0/16", "ips": []any{"10.1.0.1-10.1.0.9"}},
	}}
	must[*unstructured.Unstructured](t)(pools.Create(t.Context(), pool, metav1.CreateOptions{}))
	for key, start := range map[string]string{
		"/registry/minions/n":                               "k8s\x00",
		"/registry/pods/default/p":                          "k8s\x00",
		"/registry/services/specs/default/kubernetes":       "k8s\x00",
		"/registry/services/endpoints/default/kubernetes":   "k8s\x00",
		"/registry/spiderpool.spidernet.io/spiderippools/a": "{",
	} {
		got, err := e.Store.Client.KV.Get(t.Context(), key)
		if err != nil || len(got.Kvs) != 1 || !bytes.HasPrefix(got.Kvs[0].Value, []byte(start)) {
			t.Errorf("%s: %.60v, %v", key, got, err)
		}
	}
	table := must[[]byte](t)(e.Client.Discovery().RESTClient().Get().AbsPath("/apis/spiderpool.spidernet.io/v2beta1/spiderippools").DoRaw(t.Context()))
	if !strings.HasPrefix(string(table), `{"kind":"SpiderIPPoolList"`) {
		t.Errorf("a client that prefers protobuf gets %.60q", table)
	}
}

// TestIdleWritesNothing watches the datastore's revision.
func TestIdleWritesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("waits")
	}
	e := apitest.Start(t)
	revision := func() int64 {
		got, err := e.Store.Client.KV.Get(t.Context(), "/registry/none")
		if err != nil {
			t.Fatal(err)
		}
		return got.Header.Revision
	}
	// What a first start writes in the background comes first.
	before := revision()
	for last := int64(0); last != before; {
		last = before
		idle(t)
		before = revision()
	}
	idle(t)
	if after := revision(); after != before {
		t.Errorf("%d writes while idle", after-before)
	}
}

func idle(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(2 * time.Second):
	case <-t.Context().Done():
	}
}
