package resourcequota_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

const widgets = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}, spec: {
	group: example.com, scope: Namespaced, names: {plural: widgets, kind: Widget}, versions: [
		{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	must(t, yaml.Unmarshal([]byte(text), &o.Object))
	return o
}

// TestCustomKindsAreCounted limits objects of a kind that no loop watches.
func TestCustomKindsAreCounted(t *testing.T) {
	c := start(t)
	client, err := dynamic.NewForConfig(c.Config)
	must(t, err)
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	_, err = definitions.Create(t.Context(), object(t, widgets), metav1.CreateOptions{})
	must(t, err)
	c.namespace("a")
	kind := client.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}).Namespace("a")
	create := func(name string) error {
		_, err := kind.Create(t.Context(), object(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {name: "+name+"}}"), metav1.CreateOptions{})
		return err
	}
	c.until("widgets are served", func() bool { return create("w-0") == nil })
	const count = "count/widgets.example.com"
	c.quota("a", corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{count: resource.MustParse("3")}})
	if got := c.used("a", count); got != "1" {
		t.Errorf("used %s", got)
	}
	c.until("one too many is refused", func() bool {
		for i := range 9 {
			if err := create(fmt.Sprint("w-", i)); apierrors.IsForbidden(err) {
				return err.Error() == fmt.Sprintf(`widgets.example.com "w-%d" is forbidden: exceeded quota: q, requested: %s=1, used: %s=3, limited: %s=3`, i, count, count, count)
			}
		}
		return false
	})
	list, err := kind.List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(list.Items) > 4 { // one may slip in before admission knows the quota
		t.Errorf("%d widgets", len(list.Items))
	}
	for i := range list.Items[1:] {
		must(t, kind.Delete(t.Context(), list.Items[i+1].GetName(), metav1.DeleteOptions{}))
	}
	c.until("there is room again", func() bool { return create("another") == nil })
}

// TestCustomKindsAreWatched takes away what goes without anybody asking, also
// when the kind comes after the quota, goes, and comes back.
func TestCustomKindsAreWatched(t *testing.T) {
	c := start(t)
	client, err := dynamic.NewForConfig(c.Config)
	must(t, err)
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	kind := client.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}).Namespace("a")
	const count = "count/widgets.example.com"
	c.namespace("a")
	_, err = c.Client.CoreV1().ResourceQuotas("a").Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{count: resource.MustParse("9")}},
	}, metav1.CreateOptions{})
	must(t, err)
	for round := range 2 {
		_, err = definitions.Create(t.Context(), object(t, widgets), metav1.CreateOptions{})
		must(t, err)
		c.until("widgets are served", func() bool {
			_, err := kind.Create(t.Context(), object(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}"), metav1.CreateOptions{})
			return err == nil
		})
		c.until("the widget is counted", func() bool { return c.used("a", count) == "1" })
		must(t, kind.Delete(t.Context(), "w", metav1.DeleteOptions{}))
		begun := time.Now()
		c.until("the widget is counted no more", func() bool { return c.used("a", count) == "0" })
		if took := time.Since(begun); took > roomWithin {
			t.Errorf("round %d: that took %s", round, took)
		}
		must(t, definitions.Delete(t.Context(), "widgets.example.com", metav1.DeleteOptions{}))
		c.until("the definition is gone", func() bool {
			_, err := definitions.Get(t.Context(), "widgets.example.com", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
}
