package apiserver_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

const namespace = "default"

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func newPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Image: "demo", Env: []corev1.EnvVar{{Name: "A", Value: "1"}},
		}}},
	}
}

func newSet(name string) *appsv1.StatefulSet {
	labels := map[string]string{"app": name}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: name, Replicas: ptr.To(int32(3)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "demo"}}},
			},
		},
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestCRUD(t *testing.T) {
	e := apitest.Start(t)
	for name, config := range map[string]func() (kubernetes.Interface, error){
		"in-process": func() (kubernetes.Interface, error) { return e.Client, nil },
		"tls":        func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(e.TLS) },
	} {
		t.Run(name, func(t *testing.T) {
			client, err := config()
			if err != nil {
				t.Fatal(err)
			}
			maps := client.CoreV1().ConfigMaps(namespace)
			made := must[*corev1.ConfigMap](t)(maps.Create(t.Context(), configMap("a-"+name, map[string]string{"k": "1"}), metav1.CreateOptions{}))
			if made.UID == "" || made.ResourceVersion == "" || made.CreationTimestamp.IsZero() {
				t.Errorf("metadata is incomplete: %+v", made.ObjectMeta)
			}
			if _, err := maps.Create(t.Context(), configMap("a-"+name, nil), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
				t.Errorf("second create: %v", err)
			}
			made.Data["k"] = "2"
			updated := must[*corev1.ConfigMap](t)(maps.Update(t.Context(), made, metav1.UpdateOptions{}))
			if _, err := maps.Update(t.Context(), made, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
				t.Errorf("update with an old resourceVersion: %v", err)
			}
			if updated.Data["k"] != "2" || updated.ResourceVersion == made.ResourceVersion {
				t.Errorf("not updated: %+v", updated)
			}
			if err := maps.Delete(t.Context(), made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("other"))}}); !apierrors.IsConflict(err) {
				t.Errorf("delete with another UID: %v", err)
			}
			if err := maps.Delete(t.Context(), made.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			if _, err := maps.Get(t.Context(), made.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("after the delete: %v", err)
			}
		})
	}
}

func TestWatchSeesEveryChangeInOrder(t *testing.T) {
	e := apitest.Start(t)
	maps := e.Client.CoreV1().ConfigMaps(namespace)
	ctx, cancel := context.WithCancel(t.Context())
	w := must[watch.Interface](t)(maps.Watch(ctx, metav1.ListOptions{LabelSelector: "watched=yes"}))
	object := configMap("seen", map[string]string{"n": "0"})
	object.Labels = map[string]string{"watched": "yes"}
	object = must[*corev1.ConfigMap](t)(maps.Create(t.Context(), object, metav1.CreateOptions{}))
	object.Data["n"] = "1"
	must[*corev1.ConfigMap](t)(maps.Update(t.Context(), object, metav1.UpdateOptions{}))
	must[*corev1.ConfigMap](t)(maps.Create(t.Context(), configMap("unseen", nil), metav1.CreateOptions{}))
	if err := maps.Delete(t.Context(), "seen", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		select {
		case ev := <-w.ResultChan():
			if ev.Type != want || ev.Object.(*corev1.ConfigMap).Name != "seen" {
				t.Errorf("got %s %v, want %s", ev.Type, ev.Object, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no %s", want)
		}
	}
	cancel()
	select {
	case _, open := <-w.ResultChan():
		if open {
			t.Error("an event after the cancel")
		}
	case <-time.After(time.Minute):
		t.Error("the watch outlives its context")
	}
}

func TestPagination(t *testing.T) {
	e := apitest.Start(t)
	maps := e.Client.CoreV1().ConfigMaps(namespace)
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		must[*corev1.ConfigMap](t)(maps.Create(t.Context(), configMap(n, nil), metav1.CreateOptions{}))
	}
	var got []string
	options := metav1.ListOptions{Limit: 2}
	for {
		list := must[*corev1.ConfigMapList](t)(maps.List(t.Context(), options))
		for _, m := range list.Items {
			got = append(got, m.Name)
		}
		if options.Continue = list.Continue; list.Continue == "" {
			break
		}
		if list.RemainingItemCount == nil {
			t.Error("no remainingItemCount")
		}
	}
	if strings.Join(got, "") != "abcde" {
		t.Errorf("got %v", got)
	}
}

func TestPatchKinds(t *testing.T) {
	e := apitest.Start(t)
	pods := e.Client.CoreV1().Pods(namespace)
	must[*corev1.Pod](t)(pods.Create(t.Context(), newPod("p"), metav1.CreateOptions{}))
	strategic := must[*corev1.Pod](t)(pods.Patch(t.Context(), "p", types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"c","image":"newer"}]}}`), metav1.PatchOptions{}))
	if c := strategic.Spec.Containers; len(c) != 1 || c[0].Image != "newer" || len(c[0].Env) != 1 {
		t.Errorf("strategic merge patch does not merge by name: %+v", c)
	}
	merged := must[*corev1.Pod](t)(pods.Patch(t.Context(), "p", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"b":"2"}}}`), metav1.PatchOptions{}))
	if merged.Labels["app"] != "web" || merged.Labels["b"] != "2" {
		t.Errorf("merge patch: %v", merged.Labels)
	}
	replaced := must[*corev1.Pod](t)(pods.Patch(t.Context(), "p", types.JSONPatchType,
		[]byte(`[{"op":"remove","path":"/metadata/labels/b"}]`), metav1.PatchOptions{}))
	if _, there := replaced.Labels["b"]; there {
		t.Errorf("JSON patch: %v", replaced.Labels)
	}
	_, err := pods.Patch(t.Context(), "p", types.JSONPatchType, []byte(`[{"op":"remove"`), metav1.PatchOptions{})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("broken patch: %v", err)
	}
}

func TestServerSideApplyConflict(t *testing.T) {
	e := apitest.Start(t)
	maps := e.Client.CoreV1().ConfigMaps(namespace)
	mine := applycorev1.ConfigMap("m", namespace).WithData(map[string]string{"k": "mine"})
	must[*corev1.ConfigMap](t)(maps.Apply(t.Context(), mine, metav1.ApplyOptions{FieldManager: "me"}))
	other := applycorev1.ConfigMap("m", namespace).WithData(map[string]string{"k": "other"})
	_, err := maps.Apply(t.Context(), other, metav1.ApplyOptions{FieldManager: "them"})
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "me": .data.k`) {
		t.Errorf("got %v", err)
	}
	forced := must[*corev1.ConfigMap](t)(maps.Apply(t.Context(), other, metav1.ApplyOptions{FieldManager: "them", Force: true}))
	if forced.Data["k"] != "other" {
		t.Errorf("got %v", forced.Data)
	}
	for _, f := range forced.ManagedFields {
		if f.Manager == "me" && f.FieldsV1 != nil && strings.Contains(f.FieldsV1.GetRawString(), "f:k") {
			t.Errorf("the former manager still owns the field: %s", f.FieldsV1.GetRawString())
		}
	}
}

func TestStatusIsASubresourceOfItsOwn(t *testing.T) {
	e := apitest.Start(t)
	sets := e.Client.AppsV1().StatefulSets(namespace)
	set := newSet("s")
	set.Status.Replicas = 7
	set = must[*appsv1.StatefulSet](t)(sets.Create(t.Context(), set, metav1.CreateOptions{}))
	if set.Status.Replicas != 0 || set.Generation != 1 {
		t.Errorf("created with status %+v, generation %d", set.Status, set.Generation)
	}
	set.Status.Replicas, set.Spec.Replicas = 2, ptr.To(int32(9))
	set = must[*appsv1.StatefulSet](t)(sets.UpdateStatus(t.Context(), set, metav1.UpdateOptions{}))
	if set.Status.Replicas != 2 || *set.Spec.Replicas != 3 || set.Generation != 1 {
		t.Errorf("status update: %+v, %d replicas, generation %d", set.Status, *set.Spec.Replicas, set.Generation)
	}
	set.Status.Replicas, set.Spec.Replicas = 5, ptr.To(int32(4))
	set = must[*appsv1.StatefulSet](t)(sets.Update(t.Context(), set, metav1.UpdateOptions{}))
	if set.Status.Replicas != 2 || *set.Spec.Replicas != 4 || set.Generation != 2 {
		t.Errorf("update: %+v, %d replicas, generation %d", set.Status, *set.Spec.Replicas, set.Generation)
	}
	set.Labels = map[string]string{"a": "b"}
	set = must[*appsv1.StatefulSet](t)(sets.Update(t.Context(), set, metav1.UpdateOptions{}))
	if set.Generation != 2 {
		t.Errorf("labels have made generation %d", set.Generation)
	}
}

func TestScale(t *testing.T) {
	e := apitest.Start(t)
	sets := e.Client.AppsV1().StatefulSets(namespace)
	must[*appsv1.StatefulSet](t)(sets.Create(t.Context(), newSet("s"), metav1.CreateOptions{}))
	scale, err := sets.GetScale(t.Context(), "s", metav1.GetOptions{})
	if err != nil || scale.Spec.Replicas != 3 || scale.Status.Selector != "app=s" {
		t.Fatalf("%+v, %v", scale, err)
	}
	scale.Spec.Replicas = 5
	if scale, err = sets.UpdateScale(t.Context(), "s", scale, metav1.UpdateOptions{}); err != nil || scale.Spec.Replicas != 5 {
		t.Fatalf("%+v, %v", scale, err)
	}
	set := must[*appsv1.StatefulSet](t)(sets.Get(t.Context(), "s", metav1.GetOptions{}))
	if *set.Spec.Replicas != 5 || set.Generation != 2 {
		t.Errorf("%d replicas, generation %d", *set.Spec.Replicas, set.Generation)
	}
	scale.Spec.Replicas = -1
	_, err = sets.UpdateScale(t.Context(), "s", scale, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.replicas: Invalid value: -1: must be greater than or equal to 0") {
		t.Errorf("got %v", err)
	}
	_, err = sets.Patch(t.Context(), "s", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}, "scale")
	if err != nil {
		t.Error(err)
	}
}

func TestDryRunStoresNothing(t *testing.T) {
	e := apitest.Start(t)
	maps := e.Client.CoreV1().ConfigMaps(namespace)
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	must[*corev1.ConfigMap](t)(maps.Create(t.Context(), configMap("dry", nil), dry))
	if _, err := maps.Get(t.Context(), "dry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestTable(t *testing.T) {
	e := apitest.Start(t)
	must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Create(t.Context(), newPod("p"), metav1.CreateOptions{}))
	raw := must[[]byte](t)(e.Client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context()))
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 1 || table.ColumnDefinitions[0].Name != "Name" || table.Rows[0].Cells[0] != "p" || table.ResourceVersion == "" {
		t.Errorf("got %s", raw)
	}
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(table.Rows[0].Object.Raw, &meta); err != nil || meta.Name != "p" {
		t.Errorf("the row's object: %s, %v", table.Rows[0].Object.Raw, err)
	}
}

func TestMalformedBodies(t *testing.T) {
	e := apitest.Start(t)
	for name, c := range map[string]struct{ media, body, want string }{
		"no JSON":         {"application/json", `{"kind"`, "couldn't get version/kind; json parse error"},
		"no YAML":         {"application/yaml", "a: b: c", "yaml: mapping values are not allowed in this context"},
		"no protobuf":     {"application/vnd.kubernetes.protobuf", "x", "does not appear to be a protobuf message"},
		"another kind":    {"application/json", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}`, "cannot be handled as a ConfigMap"},
		"wrong type":      {"application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":1}}`, "cannot unmarshal number into Go struct field ConfigMap.data of type string"},
		"unknown field":   {"application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dta":{}}`, `strict decoding error: unknown field "dta"`},
		"field twice":     {"application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{},"data":{}}`, `strict decoding error: duplicate field "data"`},
		"no name":         {"application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}`, "name or generateName is required"},
		"other namespace": {"application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"y"}}`, "the namespace of the provided object does not match the namespace sent on the request"},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("configmaps").
				Param("fieldValidation", "Strict").SetHeader("Content-Type", c.media).Body([]byte(c.body)).
				Do(t.Context()).Error()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
