package load

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// sentAt is the annotation that says when an object was written. Its value has
// a beginning that is found in an encoded event without decoding it.
const (
	sentAt    = "bench.berth.dev/sent"
	sentMark  = "sent-at-"
	nanoWidth = 19
)

// stamp says in p when it is written.
func stamp(p *corev1.Pod, at time.Time) {
	p.Annotations[sentAt] = sentMark + strconv.FormatInt(at.UnixNano(), 10)
}

// stamped reads that from a value or an encoded object; false if it is not there.
func stamped(text string) (time.Time, bool) {
	_, rest, ok := strings.Cut(text, sentMark)
	if !ok || len(rest) < nanoWidth {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(rest[:nanoWidth], 10, 64)
	return time.Unix(0, n), err == nil
}

// newPod is a pod like those of a StatefulSet, about 2 KB of JSON. Its scheduler
// does not exist: nothing but the API server works on it.
func newPod(namespace, name string) *corev1.Pod {
	no := false
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:        corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
			InitialDelaySeconds: 5, PeriodSeconds: 10, FailureThreshold: 6,
		}
	}
	fromField := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels: map[string]string{
				"app.kubernetes.io/name": "database", "app.kubernetes.io/instance": "orders", "app.kubernetes.io/component": "primary",
				"controller-revision-hash": "orders-6c9d8f7b5d", "statefulset.kubernetes.io/pod-name": name,
			},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9187",
				"checksum/config": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
			},
		},
		Spec: corev1.PodSpec{
			SchedulerName: "bench", Hostname: name, Subdomain: "orders", AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{
				{
					Name: "database", Image: "registry.example.org/platform/database:16.4.1",
					Args: []string{"--config=/etc/database/database.conf", "--data=/var/lib/database", "--listen=0.0.0.0"},
					Ports: []corev1.ContainerPort{
						{Name: "http", ContainerPort: 8080}, {Name: "client", ContainerPort: 5432},
					},
					Env: []corev1.EnvVar{
						fromField("POD_NAME", "metadata.name"), fromField("POD_IP", "status.podIP"),
						{Name: "CLUSTER_PEERS", Value: "orders-0.orders,orders-1.orders,orders-2.orders"},
						{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
							LocalObjectReference: corev1.LocalObjectReference{Name: "orders"}, Key: "password",
						}}},
					},
					Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("512Mi")},
						Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
					},
					VolumeMounts: []corev1.VolumeMount{
						{Name: "data", MountPath: "/var/lib/database"}, {Name: "config", MountPath: "/etc/database", ReadOnly: true},
					},
					ReadinessProbe: probe("/ready"), LivenessProbe: probe("/live"),
				},
				{
					Name: "exporter", Image: "registry.example.org/platform/exporter:0.15.0",
					Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 9187}},
				},
			},
			Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-" + name}}},
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: "orders"},
				}}},
			},
		},
	}
}
