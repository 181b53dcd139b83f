package all_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/apiserver/apitest"
)

const badTemplate = `template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}`

// What makes no sense is refused in upstream's words, for each kind of workload.
func TestBadInputIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	env := apitest.Start(t)
	client, err := dynamic.NewForConfig(env.Config)
	must(t, err)
	const (
		matches  = `selector: {matchLabels: {app: web}}, ` + badTemplate
		other    = `selector: {matchLabels: {app: other}}, ` + badTemplate
		everyone = `selector: {}, ` + badTemplate
		foreign  = "`selector` does not match template `labels`"
		target   = `scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}`
		negative = "must be greater than or equal to 0"
	)
	for _, c := range []struct{ resource, spec, want string }{
		{"apps/v1/deployments", "replicas: -1, " + matches, "spec.replicas: Invalid value: -1: " + negative},
		{"apps/v1/deployments", "minReadySeconds: -1, " + matches, "spec.minReadySeconds: Invalid value: -1: " + negative},
		{"apps/v1/deployments", "revisionHistoryLimit: -1, " + matches, "spec.revisionHistoryLimit: Invalid value: -1: " + negative},
		{"apps/v1/deployments", "progressDeadlineSeconds: 5, minReadySeconds: 5, " + matches, "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"},
		{"apps/v1/deployments", "strategy: {rollingUpdate: {maxSurge: 0%, maxUnavailable: 0%}}, " + matches, "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"},
		{"apps/v1/deployments", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}, " + matches, "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"},
		{"apps/v1/deployments", "strategy: {rollingUpdate: {maxUnavailable: 101%}}, " + matches, "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"},
		{"apps/v1/deployments", "strategy: {rollingUpdate: {maxSurge: -1}}, " + matches, "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: " + negative},
		{"apps/v1/deployments", other, foreign},
		{"apps/v1/deployments", everyone, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"},

		{"apps/v1/replicasets", "replicas: -1, " + matches, "spec.replicas: Invalid value: -1: " + negative},
		{"apps/v1/replicasets", other, foreign},
		{"apps/v1/replicasets", everyone, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"},

		{"v1/replicationcontrollers", "replicas: -1, selector: {app: web}, " + badTemplate, "spec.replicas: Invalid value: -1: " + negative},
		{"v1/replicationcontrollers", "selector: {app: other}, " + badTemplate, foreign},

		{"apps/v1/statefulsets", "serviceName: s, replicas: -1, " + matches, "spec.replicas: Invalid value: -1: " + negative},
		{"apps/v1/statefulsets", "serviceName: s, ordinals: {start: -1}, " + matches, "spec.ordinals.start: Invalid value: -1: " + negative},
		{"apps/v1/statefulsets", "serviceName: s, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: -1}}, " + matches, "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: " + negative},
		{"apps/v1/statefulsets", "serviceName: s, updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0%}}, " + matches, "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": cannot be 0"},
		{"apps/v1/statefulsets", "serviceName: s, " + other, foreign},
		{"apps/v1/statefulsets", "serviceName: s, " + everyone, "spec.selector: Invalid value: {}: empty selector is invalid for statefulset"},

		{"apps/v1/daemonsets", "minReadySeconds: -1, " + matches, "spec.minReadySeconds: Invalid value: -1: " + negative},
		{"apps/v1/daemonsets", "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 0}}, " + matches, "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"},
		{"apps/v1/daemonsets", "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0%, maxSurge: 0%}}, " + matches, "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"},
		{"apps/v1/daemonsets", other, foreign},
		{"apps/v1/daemonsets", everyone, "spec.selector: Invalid value: {}: empty selector is invalid for daemonset"},

		{"batch/v1/jobs", "parallelism: -1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}", "spec.parallelism: Invalid value: -1: " + negative},
		{"batch/v1/jobs", "completions: -1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}", "spec.completions: Invalid value: -1: " + negative},
		{"batch/v1/jobs", "backoffLimit: -1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}", "spec.backoffLimit: Invalid value: -1: " + negative},
		{"batch/v1/jobs", "activeDeadlineSeconds: -1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}", "spec.activeDeadlineSeconds: Invalid value: -1: " + negative},
		{"batch/v1/jobs", "template: {spec: {restartPolicy: Always, containers: [{name: c, image: i}]}}", `spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
		{"batch/v1/cronjobs", "schedule: never, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}", `spec.schedule: Invalid value: "never": `},
		{"batch/v1/cronjobs", "schedule: '* * * * *', startingDeadlineSeconds: -1, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}", "spec.startingDeadlineSeconds: Invalid value: -1: " + negative},
		{"batch/v1/cronjobs", "schedule: '* * * * *', timeZone: Nowhere, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}", `spec.timeZone: Invalid value: "Nowhere": unknown time zone Nowhere`},

		{"autoscaling/v2/horizontalpodautoscalers", "minReplicas: 0, maxReplicas: 3, " + target, "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"},
		{"autoscaling/v2/horizontalpodautoscalers", "maxReplicas: -1, " + target, "spec.maxReplicas: Invalid value: -1: must be greater than or equal to 1"},
		{"autoscaling/v2/horizontalpodautoscalers", "minReplicas: 4, maxReplicas: 3, " + target, "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"},
		{"autoscaling/v2/horizontalpodautoscalers", "maxReplicas: 3, " + target + ", metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 0}}}]", "averageUtilization: Invalid value: 0: must be greater than 0"},

		{"policy/v1/poddisruptionbudgets", "minAvailable: -1, selector: {}", "spec.minAvailable: Invalid value: -1: " + negative},
		{"policy/v1/poddisruptionbudgets", "maxUnavailable: 101%, selector: {}", "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"},
		{"policy/v1/poddisruptionbudgets", "minAvailable: 1, maxUnavailable: 1, selector: {}", "minAvailable and maxUnavailable cannot be both set"},
		{"v1/resourcequotas", "hard: {pods: -1}", "spec.hard[pods]: Invalid value: \"-1\": " + negative},
	} {
		parts := strings.Split(c.resource, "/")
		gvr := schema.GroupVersionResource{Version: parts[len(parts)-2], Resource: parts[len(parts)-1]}
		if len(parts) == 3 {
			gvr.Group = parts[0]
		}
		obj := &unstructured.Unstructured{}
		must(t, yaml.Unmarshal([]byte("metadata: {name: bad}\nspec: {"+c.spec+"}"), &obj.Object))
		obj.SetGroupVersionKind(gvr.GroupVersion().WithKind(kinds[gvr.Resource]))
		_, err := client.Resource(gvr).Namespace("default").Create(t.Context(), obj, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s:\n%v\nwant %s", c.resource, c.spec, err, c.want)
		}
	}
}

var kinds = map[string]string{
	"deployments": "Deployment", "replicasets": "ReplicaSet", "replicationcontrollers": "ReplicationController", "statefulsets": "StatefulSet",
	"daemonsets": "DaemonSet", "jobs": "Job", "cronjobs": "CronJob", "horizontalpodautoscalers": "HorizontalPodAutoscaler",
	"poddisruptionbudgets": "PodDisruptionBudget", "resourcequotas": "ResourceQuota",
}
