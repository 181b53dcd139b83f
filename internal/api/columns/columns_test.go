package columns

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-d)) }

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPodRow(t *testing.T) {
	for _, c := range []struct{ name, pod, ready, status, restarts string }{
		{"new", `{spec: {containers: [{name: a}]}, status: {phase: Pending}}`, "0/1", "Pending", "0"},
		{
			"gated", `{spec: {containers: [{name: a}]}, status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: SchedulingGated}]}}`,
			"0/1", "SchedulingGated", "0",
		},
		{
			"being made", `{spec: {containers: [{name: a}]}, status: {phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}}]}}`,
			"0/1", "ContainerCreating", "0",
		},
		{
			"no image", `{spec: {containers: [{name: a}]}, status: {phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ImagePullBackOff}}}]}}`,
			"0/1", "ImagePullBackOff", "0",
		},
		{
			"running", `{spec: {containers: [{name: a}, {name: b}]}, status: {phase: Running, containerStatuses: [{name: a, ready: true, state: {running: {}}}, {name: b, state: {running: {}}}]}}`,
			"1/2", "Running", "0",
		},
		{
			"crashing", `{spec: {containers: [{name: a}]}, status: {phase: Running, containerStatuses: [{name: a, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}}]}}`,
			"0/1", "CrashLoopBackOff", "3",
		},
		{
			"failed by code", `{spec: {containers: [{name: a}]}, status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 7}}}]}}`,
			"0/1", "ExitCode:7", "0",
		},
		{
			"failed by signal", `{spec: {containers: [{name: a}]}, status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, signal: 9}}}]}}`,
			"0/1", "Signal:9", "0",
		},
		{
			"completed", `{spec: {containers: [{name: a}]}, status: {phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}]}}`,
			"0/1", "Completed", "0",
		},
		{
			"one of two completed", `{spec: {containers: [{name: a}, {name: b}]}, status: {phase: Running, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}, {name: b, ready: true, state: {running: {}}}]}}`,
			"1/2", "NotReady", "0",
		},
		{
			"init waits", `{spec: {initContainers: [{name: i}, {name: j}], containers: [{name: a}]}, status: {phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: j, restartCount: 2, state: {running: {}}}], containerStatuses: [{name: a, state: {waiting: {reason: PodInitializing}}}]}}`,
			"0/1", "Init:1/2", "2",
		},
		{
			"init fails", `{spec: {initContainers: [{name: i}], containers: [{name: a}]}, status: {phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1, reason: Error}}}]}}`,
			"0/1", "Init:Error", "0",
		},
		{
			"init crashes", `{spec: {initContainers: [{name: i}], containers: [{name: a}]}, status: {phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: CrashLoopBackOff}}}]}}`,
			"0/1", "Init:CrashLoopBackOff", "0",
		},
		{
			"sidecar", `{spec: {initContainers: [{name: s, restartPolicy: Always}], containers: [{name: a}]}, status: {phase: Running, initContainerStatuses: [{name: s, started: true, ready: true, restartCount: 1, state: {running: {}}}], containerStatuses: [{name: a, ready: true, state: {running: {}}}]}}`,
			"2/2", "Running", "1",
		},
		{
			"evicted", `{spec: {containers: [{name: a}]}, status: {phase: Failed, reason: Evicted}}`,
			"0/1", "Evicted", "0",
		},
		{
			"terminating", `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {containers: [{name: a}]}, status: {phase: Running, containerStatuses: [{name: a, ready: true, state: {running: {}}}]}}`,
			"1/1", "Terminating", "0",
		},
		{
			"deleted when done", `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {containers: [{name: a}]}, status: {phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}]}}`,
			"0/1", "Completed", "0",
		},
		{
			"node lost", `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {containers: [{name: a}]}, status: {phase: Running, reason: NodeLost}}`,
			"0/1", "Unknown", "0",
		},
	} {
		row := PodRow(parse[corev1.Pod](t, c.pod))
		if row[1] != c.ready || row[2] != c.status || row[3] != c.restarts {
			t.Errorf("%s: got %v, want %s %s %s", c.name, row[:4], c.ready, c.status, c.restarts)
		}
	}
}

func TestPodRowWide(t *testing.T) {
	p := parse[corev1.Pod](t, `{metadata: {name: web-0}, spec: {nodeName: one, readinessGates: [{conditionType: g}, {conditionType: h}], containers: [{name: a}]},
		status: {phase: Running, podIPs: [{ip: 10.42.0.7}], conditions: [{type: h, status: "True"}],
		containerStatuses: [{name: a, restartCount: 1, ready: true, state: {running: {}}}]}}`)
	p.CreationTimestamp = ago(90 * time.Second)
	p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{FinishedAt: ago(61 * time.Second)}
	want := []any{"web-0", "1/1", "Running", "1 (61s ago)", "90s", "10.42.0.7", "one", "<none>", "1/2"}
	if diff := cmp.Diff(want, PodRow(p)); diff != "" {
		t.Error(diff)
	}
}

func TestRows(t *testing.T) {
	node := parse[corev1.Node](t, `{metadata: {name: one, labels: {node-role.kubernetes.io/control-plane: "", kubernetes.io/role: x}}, spec: {unschedulable: true},
		status: {conditions: [{type: Ready, status: "True"}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: {kubeletVersion: v1.37.2, osImage: Debian}}}`)
	service := parse[corev1.Service](t, `{metadata: {name: s}, spec: {type: NodePort, clusterIPs: [10.43.0.9], selector: {b: c, a: b}, ports: [{port: 80, protocol: TCP}, {port: 443, nodePort: 30443, protocol: TCP}]}}`)
	pending := parse[corev1.Service](t, `{metadata: {name: s}, spec: {type: LoadBalancer, clusterIPs: [None]}}`)
	set := parse[appsv1.StatefulSet](t, `{metadata: {name: web}, spec: {replicas: 3, template: {spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}}, status: {readyReplicas: 2}}`)
	revision := parse[appsv1.ControllerRevision](t, `{metadata: {name: web-1, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, controller: true}]}, revision: 4}`)
	claim := parse[corev1.PersistentVolumeClaim](t, `{metadata: {name: c}, spec: {volumeName: v, storageClassName: local, volumeMode: Filesystem}, status: {phase: Bound, accessModes: [ReadWriteMany, ReadWriteOnce]}}`)
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	volume := parse[corev1.PersistentVolume](t, `{metadata: {name: v}, spec: {accessModes: [ReadWriteOncePod], persistentVolumeReclaimPolicy: Delete, storageClassName: local, claimRef: {namespace: default, name: c}}, status: {phase: Bound}}`)
	volume.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	event := parse[corev1.Event](t, `{metadata: {name: e}, type: Normal, reason: Started, message: " hello ", involvedObject: {kind: Pod, name: web-0, fieldPath: "spec.containers{a}"}, source: {component: kubelet, host: one}, count: 2}`)
	event.FirstTimestamp, event.LastTimestamp = ago(time.Hour), ago(2*time.Minute)
	endpoints := parse[corev1.Endpoints](t, `{metadata: {name: e}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}, {port: 81}]}]}`)
	slice := parse[discoveryv1.EndpointSlice](t, `{metadata: {name: e}, addressType: IPv4, ports: [{port: 80}, {name: x}, {}], endpoints: [{addresses: [10.0.0.1]}]}`)
	class := parse[storagev1.StorageClass](t, `{metadata: {name: local, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}, provisioner: p, reclaimPolicy: Delete, volumeBindingMode: WaitForFirstConsumer}`)
	for _, c := range []struct{ got, want []any }{
		{NodeRow(node), []any{"one", "Ready,SchedulingDisabled", "control-plane,x", unknown, "v1.37.2", "10.0.0.1", none, "Debian", unknown, unknown}},
		{ServiceRow(service), []any{"s", "NodePort", "10.43.0.9", none, "80/TCP,443:30443/TCP", unknown, "a=b,b=c"}},
		{ServiceRow(pending), []any{"s", "LoadBalancer", "None", "<pending>", none, unknown, none}},
		{StatefulSetRow(set), []any{"web", "2/3", unknown, "a,b", "x,z"}},
		{ControllerRevisionRow(revision), []any{"web-1", "statefulset.apps/web", int64(4), unknown}},
		{PersistentVolumeClaimRow(claim), []any{"c", "Bound", "v", "1Gi", "RWO,RWX", "local", unset, unknown, "Filesystem"}},
		{PersistentVolumeRow(volume), []any{"v", "1Gi", "RWOP", "Delete", "Bound", "default/c", "local", unset, "", unknown, unset}},
		{EventRow(event), []any{"2m", "Normal", "Started", "pod/web-0", "spec.containers{a}", "kubelet, one", "hello", "60m", int64(2), "e"}},
		{EndpointsRow(endpoints), []any{"e", "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more...", unknown}},
		{EndpointSliceRow(slice), []any{"e", "IPv4", "80,x,*", "10.0.0.1", unknown}},
		{StorageClassRow(class), []any{"local (default)", "p", "Delete", "WaitForFirstConsumer", false, unknown}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}
