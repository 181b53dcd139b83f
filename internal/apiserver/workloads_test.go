package apiserver_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/apiserver/apitest"
)

// servedKind is one kind on its way from creation to deletion.
type servedKind struct {
	resource, manifest string
	status             string // what its controller would write, as JSON
	columns            string
	row                []any // without the age, which is "now"
	scaled             bool
	field              string // a selector that finds it
}

const template = `template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: b}]}}`

var servedKinds = []servedKind{
	{
		resource: "deployments.v1.apps",
		manifest: `{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {matchLabels: {app: a}}, ` + template + `}}`,
		status:   `{"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}`,
		columns:  "Name Ready Up-to-date Available Age Containers Images Selector",
		row:      []any{"x", "1/1", 1.0, 1.0, "0s", "a", "b", "app=a"},
		scaled:   true,
		field:    "metadata.name=x",
	},
	{
		resource: "replicasets.v1.apps",
		manifest: `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x}, spec: {selector: {matchLabels: {app: a}}, ` + template + `}}`,
		status:   `{"observedGeneration": 1, "replicas": 1, "readyReplicas": 1}`,
		columns:  "Name Desired Current Ready Age Containers Images Selector",
		row:      []any{"x", 1.0, 1.0, 1.0, "0s", "a", "b", "app=a"},
		scaled:   true,
		field:    "status.replicas=1",
	},
	{
		resource: "daemonsets.v1.apps",
		manifest: `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x}, spec: {selector: {matchLabels: {app: a}}, ` + template + `}}`,
		status:   `{"currentNumberScheduled": 1, "numberMisscheduled": 0, "desiredNumberScheduled": 2, "numberReady": 0}`,
		columns:  "Name Desired Current Ready Up-to-date Available Node Selector Age Containers Images Selector",
		row:      []any{"x", 2.0, 1.0, 0.0, 0.0, 0.0, "<none>", "0s", "a", "b", "app=a"},
		field:    "metadata.namespace=default",
	},
	{
		resource: "replicationcontrollers.v1.",
		manifest: `{apiVersion: v1, kind: ReplicationController, metadata: {name: x}, spec: {` + template + `}}`,
		status:   `{"observedGeneration": 1, "replicas": 1}`,
		columns:  "Name Desired Current Ready Age Containers Images Selector",
		row:      []any{"x", 1.0, 1.0, 0.0, "0s", "a", "b", "app=a"},
		scaled:   true,
		field:    "status.replicas!=0",
	},
	{
		resource: "poddisruptionbudgets.v1.policy",
		manifest: `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: x}, spec: {minAvailable: 1, selector: {matchLabels: {app: a}}}}`,
		status:   `{"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}`,
		columns:  "Name Min Available Max Unavailable Allowed Disruptions Age",
		row:      []any{"x", "1", "N/A", 1.0, "0s"},
		field:    "metadata.name=x",
	},
	{
		resource: "jobs.v1.batch",
		manifest: `{apiVersion: batch/v1, kind: Job, metadata: {name: x}, spec: {suspend: true, manualSelector: true, selector: {matchLabels: {app: a}}, ` +
			`template: {metadata: {labels: {app: a}}, spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}`,
		status:  `{"succeeded": 1, "conditions": [{"type": "Suspended", "status": "True", "lastProbeTime": null, "lastTransitionTime": null}]}`,
		columns: "Name Status Completions Duration Age Containers Images Selector",
		row:     []any{"x", "Suspended", "1/1", "", "0s", "a", "b", "app=a"},
		field:   "status.successful=1",
	},
	{
		resource: "cronjobs.v1.batch",
		manifest: `{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}, spec: {schedule: "1 2 * * *", jobTemplate: {spec: {` +
			`template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}}}`,
		status:  `{"active": [{"kind": "Job", "name": "x-1"}]}`,
		columns: "Name Schedule Timezone Suspend Active Last Schedule Age Containers Images Selector",
		row:     []any{"x", "1 2 * * *", "<none>", "False", 1.0, "<none>", "0s", "a", "b", "<none>"},
		field:   "metadata.name=x",
	},
}

// TestEachWorkloadKind leads an object of each kind through its life.
func TestEachWorkloadKind(t *testing.T) {
	e := apitest.Start(t)
	client := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(e.Config))
	scales := scaleClient(t, e.Config)
	for _, k := range servedKinds {
		gvr, _ := schema.ParseResourceArg(k.resource)
		t.Run(gvr.Resource, func(t *testing.T) {
			objects := client.Resource(*gvr).Namespace(namespace)
			obj := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(k.manifest), &obj.Object); err != nil {
				t.Fatal(err)
			}
			var status map[string]any
			if err := json.Unmarshal([]byte(k.status), &status); err != nil {
				t.Fatal(err)
			}
			obj.Object["status"] = status
			made := must[*unstructured.Unstructured](t)(objects.Create(t.Context(), obj, metav1.CreateOptions{}))
			if cmp.Equal(made.Object["status"], status) {
				t.Error("a client has set the status of a new object")
			}
			made.Object["status"] = status
			made = must[*unstructured.Unstructured](t)(objects.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}))
			for name, want := range status {
				if number, ok := want.(float64); ok {
					want = int64(number)
				}
				got, there, _ := unstructured.NestedFieldNoCopy(made.Object, "status", name)
				if diff := cmp.Diff(want, got); diff != "" && (want != int64(0) || there) {
					t.Errorf("status.%s: %s", name, diff)
				}
			}
			checkTable(t, e.Config, k, *gvr)
			for selector, want := range map[string]int{k.field: 1, "metadata.name=y": 0} {
				list := must[*unstructured.UnstructuredList](t)(objects.List(t.Context(), metav1.ListOptions{FieldSelector: selector}))
				if len(list.Items) != want {
					t.Errorf("%s selects %d", selector, len(list.Items))
				}
			}
			if k.scaled {
				checkScale(t, scales, objects, *gvr)
			}
			background := metav1.DeletePropagationBackground
			if err := objects.Delete(t.Context(), "x", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
				t.Fatal(err)
			}
			if _, err := objects.Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("after its deletion: %v", err)
			}
		})
	}
}

// scaleClient scales as kubectl does.
func scaleClient(t *testing.T, config *rest.Config) scale.ScalesGetter {
	t.Helper()
	d := must[*discovery.DiscoveryClient](t)(discovery.NewDiscoveryClientForConfig(config))
	groups := must[[]*restmapper.APIGroupResources](t)(restmapper.GetAPIGroupResources(d))
	return must[scale.ScalesGetter](t)(scale.NewForConfig(config, restmapper.NewDiscoveryRESTMapper(groups),
		dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d)))
}

func checkScale(t *testing.T, scales scale.ScalesGetter, objects dynamic.ResourceInterface, gvr schema.GroupVersionResource) {
	t.Helper()
	target := scales.Scales(namespace)
	s, err := target.Get(t.Context(), gvr.GroupResource(), "x", metav1.GetOptions{})
	if err != nil || s.Spec.Replicas != 1 || s.Status.Replicas != 1 || s.Status.Selector != "app=a" {
		t.Fatalf("scale: %+v, %v", s, err)
	}
	s.Spec.Replicas = 4
	if _, err := target.Update(t.Context(), gvr.GroupResource(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	obj := must[*unstructured.Unstructured](t)(objects.Get(t.Context(), "x", metav1.GetOptions{}))
	n, _, _ := unstructured.NestedInt64(obj.Object, "spec", "replicas")
	if n != 4 || obj.GetGeneration() != 2 {
		t.Errorf("scaled to %d, generation %d", n, obj.GetGeneration())
	}
}

func checkTable(t *testing.T, config *rest.Config, k servedKind, gvr schema.GroupVersionResource) {
	t.Helper()
	config = rest.CopyConfig(config)
	config.AcceptContentTypes = "application/json;as=Table;v=v1;g=meta.k8s.io"
	path := "/apis/" + gvr.Group + "/" + gvr.Version + "/namespaces/" + namespace + "/" + gvr.Resource
	if gvr.Group == "" {
		path = strings.Replace(path, "/apis//", "/api/", 1)
	}
	var table metav1.Table
	readJSON(t, config, path, &table)
	var names []string
	for _, c := range table.ColumnDefinitions {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != k.columns {
		t.Errorf("columns: %s", got)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%d rows", len(table.Rows))
	}
	cells := table.Rows[0].Cells
	if i := slices.Index(names, "Age"); i >= 0 {
		cells[i] = "0s"
	}
	if diff := cmp.Diff(k.row, cells); diff != "" {
		t.Error(diff)
	}
}

func readJSON(t *testing.T, config *rest.Config, path string, into any) {
	t.Helper()
	d := must[*discovery.DiscoveryClient](t)(discovery.NewDiscoveryClientForConfig(config))
	raw, err := d.RESTClient().Get().AbsPath(path).SetHeader("Accept", config.AcceptContentTypes).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// heard gathers the warnings of a client.
type heard struct {
	sync.Mutex
	texts []string
}

func (h *heard) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	h.Lock()
	defer h.Unlock()
	h.texts = append(h.texts, text)
}

func (h *heard) take() []string {
	h.Lock()
	defer h.Unlock()
	texts := h.texts
	h.texts = nil
	return texts
}

// TestWorkloadRulesOfUpdate checks what the strategies of single kinds do
// beyond what all do.
func TestWorkloadRulesOfUpdate(t *testing.T) {
	e := apitest.Start(t)
	said := &heard{}
	config := rest.CopyConfig(e.Config)
	config.WarningHandlerWithContext = said
	client := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(config))
	create := func(k servedKind) (dynamic.ResourceInterface, *unstructured.Unstructured) {
		t.Helper()
		gvr, _ := schema.ParseResourceArg(k.resource)
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(k.manifest), &obj.Object); err != nil {
			t.Fatal(err)
		}
		objects := client.Resource(*gvr).Namespace(namespace)
		return objects, must[*unstructured.Unstructured](t)(objects.Create(t.Context(), obj, metav1.CreateOptions{}))
	}
	update := func(objects dynamic.ResourceInterface, obj *unstructured.Unstructured) *unstructured.Unstructured {
		t.Helper()
		return must[*unstructured.Unstructured](t)(objects.Update(t.Context(), obj, metav1.UpdateOptions{}))
	}

	objects, obj := create(servedKinds[0])
	obj.SetAnnotations(map[string]string{"a": "b"})
	if obj = update(objects, obj); obj.GetGeneration() != 2 {
		t.Errorf("an annotation of a deployment makes generation %d", obj.GetGeneration())
	}
	obj.SetLabels(map[string]string{"a": "b"})
	obj = must[*unstructured.Unstructured](t)(objects.UpdateStatus(t.Context(), obj, metav1.UpdateOptions{}))
	if len(obj.GetLabels()) != 0 {
		t.Error("the status of a deployment brought labels along")
	}

	const generation = "deprecated.daemonset.template.generation"
	objects, obj = create(servedKinds[2])
	if got := obj.GetAnnotations()[generation]; got != "1" {
		t.Errorf("template generation of a new daemon set: %q", got)
	}
	_ = unstructured.SetNestedField(obj.Object, int64(5), "spec", "minReadySeconds")
	if obj = update(objects, obj); obj.GetAnnotations()[generation] != "1" || obj.GetGeneration() != 2 {
		t.Errorf("after a change of the spec: %v", obj.Object["metadata"])
	}
	_ = unstructured.SetNestedField(obj.Object, "b", "spec", "template", "metadata", "labels", "b")
	obj.SetAnnotations(nil)
	if obj = update(objects, obj); obj.GetAnnotations()[generation] != "2" || obj.GetGeneration() != 3 {
		t.Errorf("after a change of the template: %v", obj.Object["metadata"])
	}

	objects, obj = create(servedKinds[3])
	if err := objects.Delete(t.Context(), obj.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	obj = must[*unstructured.Unstructured](t)(objects.Get(t.Context(), obj.GetName(), metav1.GetOptions{}))
	if !slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents) {
		t.Errorf("a replication controller that is deleted without a word keeps no pods: %v", obj.GetFinalizers())
	}
	if w := said.take(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}

	objects, obj = create(servedKind{resource: "jobs.v1.batch", manifest: `{apiVersion: batch/v1, kind: Job, metadata: {name: x}, ` +
		`spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}`})
	selector, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "selector", "matchLabels")
	if diff := cmp.Diff(map[string]string{"batch.kubernetes.io/controller-uid": string(obj.GetUID())}, selector); diff != "" {
		t.Error(diff)
	}
	labels, _, _ := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
	if diff := cmp.Diff(map[string]string{
		"job-name": "x", "batch.kubernetes.io/job-name": "x",
		"controller-uid": string(obj.GetUID()), "batch.kubernetes.io/controller-uid": string(obj.GetUID()),
	}, labels); diff != "" {
		t.Error(diff)
	}
	if err := objects.Delete(t.Context(), "x", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"child pods are preserved by default when jobs are deleted; set propagationPolicy=Background " +
		"to remove them or set propagationPolicy=Orphan to suppress this warning"}, said.take()); diff != "" {
		t.Error(diff)
	}
}
