package defaults

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestTemplateGolden pins each byte of a filled template: the names of
// ControllerRevisions are hashes of it.
func TestTemplateGolden(t *testing.T) {
	set := parse[appsv1.StatefulSet](t, `
spec:
  template:
    metadata: {labels: {foo: bar}}
    spec:
      serviceAccountName: sa
      volumes: [{name: c, configMap: {name: c}}, {name: h, hostPath: {path: /}}, {name: e}]
      containers:
      - name: nginx
        image: nginx
        ports: [{containerPort: 80}]
        env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        resources: {limits: {cpu: 100u}}
        readinessProbe: {httpGet: {port: 80}}
        lifecycle: {preStop: {httpGet: {port: 80}}}
  volumeClaimTemplates: [{metadata: {name: d}, spec: {resources: {requests: {storage: 1Gi}}}}]
`)
	StatefulSet(set)
	const template = `{"metadata":{"labels":{"foo":"bar"}},"spec":{` +
		`"volumes":[{"name":"c","configMap":{"name":"c","defaultMode":420}},{"name":"h","hostPath":{"path":"/","type":""}},{"name":"e","emptyDir":{}}],` +
		`"containers":[{"name":"nginx","image":"nginx","ports":[{"containerPort":80,"protocol":"TCP"}],` +
		`"env":[{"name":"A","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],` +
		`"resources":{"limits":{"cpu":"1m"}},` +
		`"readinessProbe":{"httpGet":{"path":"/","port":80,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},` +
		`"lifecycle":{"preStop":{"httpGet":{"path":"/","port":80,"scheme":"HTTP"}}},` +
		`"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"Always"}],` +
		`"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"sa","serviceAccount":"sa",` +
		`"securityContext":{},"schedulerName":"default-scheduler"}}`
	if diff := cmp.Diff(template, encoded(t, set.Spec.Template)); diff != "" {
		t.Error(diff)
	}
	const claims = `[{"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"name":"d"},` +
		`"spec":{"resources":{"requests":{"storage":"1Gi"}},"volumeMode":"Filesystem"},"status":{"phase":"Pending"}}]`
	if diff := cmp.Diff(claims, encoded(t, set.Spec.VolumeClaimTemplates)); diff != "" {
		t.Error(diff)
	}
	const strategy = `{"type":"RollingUpdate","rollingUpdate":{"partition":0,"maxUnavailable":1}}`
	if diff := cmp.Diff(strategy, encoded(t, set.Spec.UpdateStrategy)); diff != "" {
		t.Error(diff)
	}
	if *set.Spec.Replicas != 1 || *set.Spec.RevisionHistoryLimit != 10 || set.Spec.PodManagementPolicy != appsv1.OrderedReadyPodManagement {
		t.Errorf("got %+v", set.Spec)
	}
}

// TestBareStrategy: a written type without parameters stays without them.
func TestBareStrategy(t *testing.T) {
	for text, want := range map[string]string{
		`{spec: {updateStrategy: {type: RollingUpdate}}}`:                    `{"type":"RollingUpdate"}`,
		`{spec: {updateStrategy: {type: OnDelete}}}`:                         `{"type":"OnDelete"}`,
		`{spec: {updateStrategy: {rollingUpdate: {partition: 2}}}}`:          `{"type":"RollingUpdate","rollingUpdate":{"partition":2,"maxUnavailable":1}}`,
		`{spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {}}}}`: `{"type":"RollingUpdate","rollingUpdate":{"partition":0,"maxUnavailable":1}}`,
	} {
		set := parse[appsv1.StatefulSet](t, text)
		StatefulSet(set)
		if got := encoded(t, set.Spec.UpdateStrategy); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestPullPolicy(t *testing.T) {
	const digest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for image, want := range map[string]corev1.PullPolicy{
		"nginx":                     corev1.PullAlways,
		"nginx:latest":              corev1.PullAlways,
		"nginx:1.27":                corev1.PullIfNotPresent,
		"nginx" + digest:            corev1.PullIfNotPresent,
		"nginx:latest" + digest:     corev1.PullAlways,
		"host.example:5000/nginx":   corev1.PullAlways,
		"host.example:5000/nginx:1": corev1.PullIfNotPresent,
		"Nginx":                     corev1.PullIfNotPresent,
		"":                          corev1.PullIfNotPresent,
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("%q: got %s, want %s", image, got, want)
		}
	}
}

func TestOnlyPodsGetRequestsAndHostPorts(t *testing.T) {
	const spec = `{hostNetwork: true, containers: [{name: a, image: a, ports: [{containerPort: 80}], resources: {limits: {cpu: "1"}}}]}`
	pod := parse[corev1.Pod](t, "spec: "+spec)
	Pod(pod)
	c := pod.Spec.Containers[0]
	if q := c.Resources.Requests[corev1.ResourceCPU]; c.Ports[0].HostPort != 80 || q.Cmp(resource.MustParse("1")) != 0 || !*pod.Spec.EnableServiceLinks {
		t.Errorf("pod: %+v", pod.Spec)
	}
	template := parse[corev1.PodTemplateSpec](t, "spec: "+spec)
	PodTemplateSpec(template)
	c = template.Spec.Containers[0]
	if c.Ports[0].HostPort != 0 || c.Resources.Requests != nil || template.Spec.EnableServiceLinks != nil {
		t.Errorf("template: %+v", template.Spec)
	}
}

func TestPodLevelResources(t *testing.T) {
	pod := parse[corev1.Pod](t, `{spec: {resources: {limits: {cpu: "2", memory: 1Gi}}, containers: [{name: a, image: a, resources: {requests: {cpu: "1"}}}]}}`)
	Pod(pod)
	if got, want := encoded(t, pod.Spec.Resources), `{"limits":{"cpu":"2","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestService(t *testing.T) {
	for text, want := range map[string]string{
		`{ports: [{port: 80}]}`:       `{"ports":[{"protocol":"TCP","port":80,"targetPort":80}],"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster"}`,
		`{type: NodePort}`:            `{"type":"NodePort","sessionAffinity":"None","externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Cluster"}`,
		`{type: LoadBalancer}`:        `{"type":"LoadBalancer","sessionAffinity":"None","externalTrafficPolicy":"Cluster","allocateLoadBalancerNodePorts":true,"internalTrafficPolicy":"Cluster"}`,
		`{type: ExternalName}`:        `{"type":"ExternalName","sessionAffinity":"None"}`,
		`{sessionAffinity: ClientIP}`: `{"type":"ClusterIP","sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":10800}},"internalTrafficPolicy":"Cluster"}`,
	} {
		svc := parse[corev1.Service](t, "spec: "+text)
		Service(svc)
		if diff := cmp.Diff(want, encoded(t, svc.Spec)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestSecretText(t *testing.T) {
	s := parse[corev1.Secret](t, `{data: {a: eA==}, stringData: {a: w, b: z}}`)
	Secret(s)
	if string(s.Data["a"]) != "w" || string(s.Data["b"]) != "z" || s.StringData != nil || s.Type != corev1.SecretTypeOpaque {
		t.Errorf("got %+v", s)
	}
}
