package quota_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/api/quota"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func read[T runtime.Object](t *testing.T, into T, text string) T {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return into
}

func pod(t *testing.T, text string) *corev1.Pod        { return read(t, &corev1.Pod{}, text) }
func service(t *testing.T, text string) runtime.Object { return read(t, &corev1.Service{}, text) }
func claim(t *testing.T, text string) runtime.Object {
	return read(t, &corev1.PersistentVolumeClaim{}, text)
}

func evaluator(t *testing.T, name string) v1.Evaluator {
	t.Helper()
	for _, e := range quota.Evaluators(nil, clocktesting.NewFakePassiveClock(now)) {
		if e.GroupResource().Resource == name {
			return e
		}
	}
	t.Fatalf("%s are not measured", name)
	return nil
}

func show(list corev1.ResourceList) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		q := list[name]
		parts = append(parts, string(name)+"="+q.String())
	}
	return strings.Join(parts, " ")
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		of   string
		obj  runtime.Object
		want string
	}{
		"a pod without demands": {"pods", pod(t, `{spec: {containers: [{name: c}]}}`), "count/pods=1 pods=1"},
		"a pod of two containers and a greedy start": {
			"pods",
			pod(t, `{spec: {
				initContainers: [{name: i, resources: {requests: {cpu: 300m}, limits: {memory: 1Gi}}}],
				containers: [
					{name: a, resources: {requests: {cpu: 100m, memory: 1Mi, ephemeral-storage: 1Gi}, limits: {cpu: 200m}}},
					{name: b, resources: {requests: {cpu: 100m, hugepages-2Mi: 4Mi, example.com/gpu: "2"}, limits: {hugepages-2Mi: 4Mi, example.com/gpu: "2"}}}]}}`),
			"count/pods=1 cpu=300m ephemeral-storage=1Gi hugepages-2Mi=4Mi limits.cpu=200m limits.memory=1Gi memory=1Mi pods=1 requests.cpu=300m " +
				"requests.ephemeral-storage=1Gi requests.example.com/gpu=2 requests.hugepages-2Mi=4Mi requests.memory=1Mi",
		},
		"a pod with an overhead": {
			"pods", pod(t, `{spec: {overhead: {cpu: 50m}, containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`),
			"count/pods=1 cpu=150m pods=1 requests.cpu=150m",
		},
		"a pod that asks as a whole": {
			"pods", pod(t, `{spec: {resources: {requests: {cpu: "1"}}, containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`),
			"count/pods=1 cpu=1 pods=1 requests.cpu=1",
		},
		"a pod that has ended": {"pods", pod(t, `{status: {phase: Succeeded}, spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`), "count/pods=1"},
		"a pod that is ending": {
			"pods", pod(t, `{metadata: {deletionTimestamp: "2026-01-01T11:59:50Z", deletionGracePeriodSeconds: 30}, spec: {containers: [{name: c}]}}`), "count/pods=1 pods=1",
		},
		"a pod that should have ended": {
			"pods", pod(t, `{metadata: {deletionTimestamp: "2026-01-01T11:59:20Z", deletionGracePeriodSeconds: 30}, spec: {containers: [{name: c}]}}`), "count/pods=1",
		},
		"a service":    {"services", service(t, `{spec: {type: ClusterIP, ports: [{port: 1}]}}`), "count/services=1 services=1 services.loadbalancers=0 services.nodeports=0"},
		"node ports":   {"services", service(t, `{spec: {type: NodePort, ports: [{port: 1}, {port: 2}]}}`), "count/services=1 services=1 services.loadbalancers=0 services.nodeports=2"},
		"load balance": {"services", service(t, `{spec: {type: LoadBalancer, ports: [{port: 1}]}}`), "count/services=1 services=1 services.loadbalancers=1 services.nodeports=1"},
		"load balance without node ports": {
			"services", service(t, `{spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 1}, {port: 2, nodePort: 30000}]}}`),
			"count/services=1 services=1 services.loadbalancers=1 services.nodeports=1",
		},
		"a claim of a class": {
			"persistentvolumeclaims", claim(t, `{spec: {storageClassName: gold, resources: {requests: {storage: 1Gi}}}}`),
			"count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/requests.storage=1Gi " +
				"persistentvolumeclaims=1 requests.storage=1Gi",
		},
		"a claim that shrinks back": {
			"persistentvolumeclaims", claim(t, `{spec: {resources: {requests: {storage: 1Gi}}}, status: {allocatedResources: {storage: 2Gi}}}`),
			"count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=2Gi",
		},
		"devices of several classes": {
			"resourceclaims", read(t, &resourcev1.ResourceClaim{}, `{spec: {devices: {requests: [
				{name: a, exactly: {deviceClassName: gpu, allocationMode: ExactCount, count: 2}},
				{name: b, exactly: {deviceClassName: gpu, allocationMode: All}},
				{name: c, firstAvailable: [
					{name: d, deviceClassName: gpu, allocationMode: ExactCount, count: 3},
					{name: e, deviceClassName: gpu, allocationMode: ExactCount, count: 1},
					{name: f, deviceClassName: nic, allocationMode: ExactCount, count: 1}]}]}}}`),
			"count/resourceclaims.resource.k8s.io=1 gpu.deviceclass.resource.k8s.io/devices=37 nic.deviceclass.resource.k8s.io/devices=1",
		},
		"a secret": {"secrets", &corev1.Secret{}, "count/secrets=1 secrets=1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := evaluator(t, c.of).Usage(c.obj)
			if err != nil || show(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", show(got), err, c.want)
			}
		})
	}
}

func TestNamesThatAreLimited(t *testing.T) {
	all := []corev1.ResourceName{
		"pods", "count/pods", "cpu", "requests.memory", "limits.ephemeral-storage", "hugepages-2Mi", "requests.hugepages-2Mi", "requests.example.com/gpu", "example.com/gpu",
		"services", "services.nodeports", "services.loadbalancers", "persistentvolumeclaims", "requests.storage", "gold.storageclass.storage.k8s.io/requests.storage",
		"configmaps", "count/configmaps", "count/widgets.example.com",
	}
	want := map[string]string{
		"pods":                   "pods count/pods cpu requests.memory limits.ephemeral-storage hugepages-2Mi requests.hugepages-2Mi requests.example.com/gpu",
		"services":               "services services.nodeports services.loadbalancers",
		"persistentvolumeclaims": "persistentvolumeclaims requests.storage gold.storageclass.storage.k8s.io/requests.storage",
		"configmaps":             "configmaps count/configmaps",
	}
	for of, names := range want {
		var got []string
		for _, n := range evaluator(t, of).MatchingResources(all) {
			got = append(got, string(n))
		}
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(strings.Fields(names)))) {
			t.Errorf("%s: got %v, want %s", of, got, names)
		}
	}
	widgets := quota.Counted(nil, schema.GroupResource{Group: "example.com", Resource: "widgets"})
	if got := widgets.MatchingResources(all); len(got) != 1 || got[0] != "count/widgets.example.com" {
		t.Errorf("widgets: %v", got)
	}
}

func TestScopes(t *testing.T) {
	burst := pod(t, `{spec: {activeDeadlineSeconds: 60, priorityClassName: high, containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`)
	idle := pod(t, `{spec: {containers: [{name: c}], affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
		{weight: 1, podAffinityTerm: {topologyKey: zone, namespaceSelector: {}}}]}}}}`)
	for scope, want := range map[string][2]bool{ // of burst and idle
		`{scopes: [BestEffort]}`:                 {false, true},
		`{scopes: [NotBestEffort]}`:              {true, false},
		`{scopes: [Terminating]}`:                {true, false},
		`{scopes: [NotTerminating]}`:             {false, true},
		`{scopes: [NotTerminating, BestEffort]}`: {false, true},
		`{scopes: [Terminating, BestEffort]}`:    {false, false},
		`{scopes: [CrossNamespacePodAffinity]}`:  {false, true},
		`{scopes: [PriorityClass]}`:              {true, false},
		`{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high, low]}]}}`:    {true, false},
		`{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [low]}]}}`:          {false, false},
		`{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: NotIn, values: [low]}]}}`:       {true, true},
		`{scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: DoesNotExist}]}}`:               {false, true},
		`{scopes: [Terminating], scopeSelector: {matchExpressions: [{scopeName: BestEffort, operator: Exists}]}}`: {false, false},
	} {
		q := &corev1.ResourceQuota{Spec: *readSpec(t, scope)}
		q.Status.Hard = corev1.ResourceList{corev1.ResourcePods: {}}
		for i, p := range []*corev1.Pod{burst, idle} {
			got, err := evaluator(t, "pods").Matches(q, p)
			if err != nil || got != want[i] {
				t.Errorf("%s: pod %d: %v, %v", scope, i, got, err)
			}
		}
	}
	// A scope is of no concern to what is merely counted: nothing is in it.
	q := &corev1.ResourceQuota{Spec: *readSpec(t, `{scopes: [BestEffort]}`)}
	q.Status.Hard = corev1.ResourceList{"count/configmaps": {}}
	if got, err := evaluator(t, "configmaps").Matches(q, &corev1.ConfigMap{}); got || err != nil {
		t.Errorf("a config map is best effort: %v, %v", got, err)
	}
}

func readSpec(t *testing.T, text string) *corev1.ResourceQuotaSpec {
	t.Helper()
	spec := &corev1.ResourceQuotaSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestDemands(t *testing.T) {
	p := pod(t, `{spec: {initContainers: [{name: i}], containers: [{name: b, resources: {requests: {cpu: 1m}}}, {name: a, resources: {limits: {memory: 1Mi}, requests: {memory: 1Mi}}}]}}`)
	for names, want := range map[string]string{
		"requests.cpu":                                    "must specify requests.cpu for: a,i",
		"requests.cpu limits.memory":                      "must specify limits.memory for: b,i; requests.cpu for: a,i",
		"pods ephemeral-storage requests.example.com/gpu": "",
	} {
		var required []corev1.ResourceName
		for _, n := range strings.Fields(names) {
			required = append(required, corev1.ResourceName(n))
		}
		got := ""
		if err := evaluator(t, "pods").Constraints(required, p); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", names, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	list := func(r schema.GroupResource, namespace string) ([]runtime.Object, error) {
		if r.Resource != "pods" || namespace != "a" {
			return nil, nil
		}
		return []runtime.Object{
			pod(t, `{spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`),
			pod(t, `{spec: {containers: [{name: c}]}}`),
			pod(t, `{status: {phase: Failed}, spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`),
		}, nil
	}
	registry := generic.NewRegistry(quota.Evaluators(list, clocktesting.NewFakePassiveClock(now)))
	hard := corev1.ResourceList{"pods": {}, "requests.cpu": {}, "count/pods": {}, "services": {}, "count/widgets.example.com": {}}
	got, err := v1.CalculateUsage("a", []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotBestEffort}, hard, registry, nil)
	if want := "count/pods=2 pods=1 requests.cpu=100m services=0"; err != nil || show(got) != want {
		t.Errorf("got %s, %v, want %s", show(got), err, want)
	}
}

func TestChanged(t *testing.T) {
	before := pod(t, `{spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`)
	for after, want := range map[string]bool{
		`{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x, resources: {requests: {cpu: 100m}}}]}}`:                  false,
		`{spec: {containers: [{name: c, resources: {requests: {cpu: 200m}}}]}}`:                                                        true,
		`{spec: {activeDeadlineSeconds: 1, containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`:                              true,
		`{status: {phase: Failed}, spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`:                               true,
		`{status: {phase: Running}, spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`:                              false,
		`{metadata: {deletionTimestamp: "2026-01-01T11:59:50Z"}, spec: {containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}`: true,
	} {
		if got := quota.Changed(quota.For(corev1.Resource("pods")), before, pod(t, after)); got != want {
			t.Errorf("%s: %v", after, got)
		}
	}
}
