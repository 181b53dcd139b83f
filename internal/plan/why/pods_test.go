package why

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/nodeloss"
)

func containerCases() []stuck {
	return []stuck{
		{name: "healthy"},
		{name: "image name invalid", want: InvalidImageName, disturb: func(w world) {
			w.waiting("InvalidImageName", `Failed to apply default image tag "NGINX:": couldn't parse image name`).Spec.Containers[0].Image = "NGINX:"
		}},
		{name: "image not there", want: ImageNotThere, disturb: func(w world) {
			w.without(2)
			w.waiting("ImagePullBackOff", `Back-off pulling image "nginx:1": ErrImagePull: not found`)
		}},
		{name: "image of an update not there", want: ImageNotThere, disturb: func(w world) {
			w.rolls()
			w.waiting("ErrImagePull", "not found").Labels["controller-revision-hash"] = "web-b"
		}},
		{name: "pull secret missing", want: PullSecretMissing, disturb: func(w world) {
			w.waiting("ErrImagePull", "denied").Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
		}},
		{name: "config map missing", want: ConfigMissing, disturb: func(w world) {
			w.waiting("CreateContainerConfigError", `configmap "settings" not found`)
		}},
		{name: "secret missing", want: ConfigMissing, disturb: func(w world) {
			w.waiting("CreateContainerConfigError", `secret "password" not found`)
		}},
		{name: "key missing", want: ConfigMissing, disturb: func(w world) {
			w.waiting("CreateContainerConfigError", `couldn't find key mode in ConfigMap shop/settings`)
		}},
		{name: "volume's config map missing", want: ConfigMissing, disturb: func(w world) {
			w.waiting("ContainerCreating", "")
			w.event("Pod", "web-1", "FailedMount", `MountVolume.SetUp failed for volume "conf" : configmap "settings" not found`)
		}},
		{name: "volume cannot be mounted", want: VolumeNotMounted, disturb: func(w world) {
			w.waiting("ContainerCreating", "")
			w.event("Pod", "web-1", "FailedMount", `MountVolume.SetUp failed for volume "logs" : hostPath type check failed: /var/log/web is not a directory`)
		}},
		{name: "command not there", want: ContainerNotCreated, disturb: func(w world) {
			w.waiting("RunContainerError", `exec: "nginxx": executable file not found in $PATH`)
		}},
		{name: "crash loop", want: CrashLoop, disturb: func(w world) { w.ended("Error", 2, 5) }},
		{name: "crash loop between two runs", want: CrashLoop, disturb: func(w world) {
			w.ended("Error", 2, 5)
			w.Pods[1].Status.Conditions[0].Status = corev1.ConditionTrue
			st := &w.Pods[1].Status.ContainerStatuses[0]
			st.Ready, st.State = true, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(5 * time.Second)}}
			st.LastTerminationState.Terminated.StartedAt = ago(40 * time.Second)
		}},
		{name: "runs again for long enough", disturb: func(w world) {
			st := &w.Pods[1].Status.ContainerStatuses[0]
			st.RestartCount, st.LastTerminationState.Terminated = 5, &corev1.ContainerStateTerminated{ExitCode: 2, StartedAt: ago(63 * time.Minute), FinishedAt: ago(62 * time.Minute)}
		}},
		{name: "ends by itself", want: CrashLoop, disturb: func(w world) { w.ended("Completed", 0, 5) }},
		{name: "out of memory", want: OutOfMemory, disturb: func(w world) {
			w.ended("OOMKilled", 137, 3).Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
		}},
		{name: "liveness", want: LivenessProbeFails, disturb: func(w world) {
			w.ended("Error", 137, 4)
			w.probe("Liveness", "HTTP probe failed with statuscode: 500")
		}},
		{name: "liveness between two restarts", want: LivenessProbeFails, disturb: func(w world) {
			w.Pods[1].Status.ContainerStatuses[0].RestartCount = 4
			w.probe("Liveness", "HTTP probe failed with statuscode: 500")
		}},
		{name: "startup", want: StartupProbeFails, disturb: func(w world) {
			pod := w.notReady(1)
			pod.Spec.Containers[0].StartupProbe = &corev1.Probe{}
			pod.Status.ContainerStatuses[0].Started = ptr.To(false)
			w.probe("Startup", "connection refused")
		}},
		{name: "startup kills", want: StartupProbeFails, disturb: func(w world) {
			w.ended("Error", 143, 2)
			w.probe("Startup", "connection refused")
		}},
		{name: "readiness", want: ReadinessProbeFails, disturb: func(w world) {
			w.notReady(1).Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			w.probe("Readiness", "dial tcp 10.42.0.7:80: connection refused")
		}},
		{name: "readiness not passed yet", want: ComingUp, disturb: func(w world) {
			pod := w.notReady(1)
			pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			pod.Status.ContainerStatuses[0].State.Running.StartedAt = ago(time.Second)
		}},
		{name: "readiness gate", want: ReadinessGate, disturb: func(w world) {
			pod := w.notReady(1)
			pod.Status.ContainerStatuses[0].Ready = true
			pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/balanced"}}
		}},
		{name: "init container crashes", want: InitFails, disturb: func(w world) {
			pod := w.waiting("PodInitializing", "")
			pod.Spec.InitContainers = []corev1.Container{{Name: "copy"}}
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
				Name: "copy", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: ago(time.Minute)}},
			}}
		}},
		{name: "coming up", want: ComingUp, ask: "pod/web-1", disturb: func(w world) { w.waiting("ContainerCreating", "") }},
		{name: "evicted", want: PodEnded, ask: "pod/web-1", disturb: func(w world) {
			pod := w.notReady(1)
			pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
		}},
		{name: "a pod of nobody has failed", want: PodEnded, ask: "pod/alone", disturb: func(w world) {
			w.Pods = append(w.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, Status: corev1.PodStatus{Phase: corev1.PodFailed}})
		}},
		{name: "a pod of nobody has succeeded", ask: "pod/alone", disturb: func(w world) {
			w.Pods = append(w.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}})
		}},
	}
}

func placeCases() []stuck {
	asks := func(pod *corev1.Pod, cpu string) {
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	return []stuck{
		{name: "scheduling gate", want: SchedulingGated, disturb: func(w world) {
			w.unplaced().Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
		}},
		{name: "no nodes", want: NoNodes, disturb: func(w world) { w.unplaced(); w.Nodes = w.Nodes[:0] }},
		{name: "no room", want: NoRoom, disturb: func(w world) {
			w.node("n2")
			asks(w.Pods[0], "1500m")
			asks(w.unplaced(), "3")
		}},
		{name: "tainted", want: NodesTainted, disturb: func(w world) {
			w.unplaced()
			w.Nodes[0].Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoSchedule}}
		}},
		{name: "cordoned", want: NodesTainted, disturb: func(w world) { w.unplaced(); w.Nodes[0].Spec.Unschedulable = true }},
		{name: "label missing", want: NoNodeMatches, disturb: func(w world) {
			w.unplaced().Spec.NodeSelector = map[string]string{"disk": "ssd"}
		}},
		{name: "each node for another reason", want: Unschedulable, disturb: func(w world) {
			pod := w.unplaced()
			asks(pod, "3")
			pod.Spec.NodeSelector = map[string]string{"disk": "ssd"}
			w.Nodes[0].Labels["disk"] = "ssd"
			w.node("n2")
			w.node("n3").Spec.Unschedulable = true
		}},
		{name: "volume on a cordoned node", want: VolumeElsewhere, disturb: func(w world) {
			w.uses(w.unplaced(), "data")
			bound(w.claim("local"), "v1")
			w.local("v1", "n1")
			w.Nodes[0].Spec.Unschedulable = true
			w.node("n2")
		}},
		{name: "volume on a node that is gone", want: VolumeElsewhere, disturb: func(w world) {
			w.uses(w.unplaced(), "data")
			bound(w.claim("local"), "v1")
			w.local("v1", "n9")
		}},
		{name: "claim unbound", want: ClaimNoVolumeFits, ask: "pod/web-1", disturb: func(w world) {
			w.uses(w.unplaced(), "data")
			w.claim("")
		}},
		{name: "claim not there", want: ClaimMissing, ask: "pod/web-1", disturb: func(w world) { w.uses(w.unplaced(), "data") }},
		{name: "no volume on any node", want: ClaimNoVolumeFits, ask: "pod/web-1", disturb: func(w world) {
			w.uses(w.unplaced(), "data")
			w.claim("by-hand")
			w.class("by-hand", "kubernetes.io/no-provisioner", "WaitForFirstConsumer")
		}},
		{name: "no volume can be made", want: ClaimProvisionerFails, ask: "pod/web-1", disturb: func(w world) {
			w.uses(w.unplaced(), "data")
			w.claim("local").Annotations = map[string]string{"volume.kubernetes.io/selected-node": "n1"}
			w.class("local", "berth.dev/local", "WaitForFirstConsumer")
			w.event("PersistentVolumeClaim", "data", "ProvisioningFailed", "claim.Spec.Selector is not supported")
		}},
		{name: "nothing to copy", want: ClaimProvisionerFails, ask: "pod/web-1", disturb: func(w world) {
			w.uses(w.unplaced(), "data")
			w.claim("local").Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "none"}
			w.class("local", "berth.dev/local", "WaitForFirstConsumer")
			w.event("PersistentVolumeClaim", "data", "ProvisioningFailed", "persistentvolumeclaims \"none\" not found")
		}},
		{name: "another scheduler", want: Unschedulable, ask: "pod/web-1", disturb: func(w world) {
			pod := w.unplaced()
			pod.Status.Conditions, pod.Spec.SchedulerName = nil, "mine"
		}},
		{name: "about to be placed", want: ComingUp, ask: "pod/web-1", disturb: func(w world) { w.unplaced() }},
	}
}

func (w world) local(name, node string) {
	w.volume(name, "local", "1Gi").Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}}},
	}}
}

func nodeCases() []stuck {
	silent := func(w world) {
		w.Nodes[0].Status.Conditions[0] = corev1.NodeCondition{
			Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastTransitionTime: ago(5 * time.Minute),
			Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.",
		}
	}
	deleted := func(pod *corev1.Pod, end time.Duration) *corev1.Pod {
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(noon.Add(end))), ptr.To(int64(30))
		return pod
	}
	return []stuck{
		{name: "node name does not exist", want: NodeMissing, ask: "pod/web-1", disturb: func(w world) { w.notReady(1).Spec.NodeName = "n7" }},
		{name: "node name of the template does not exist", want: NodeMissing, ask: "pod/web-1", disturb: func(w world) {
			w.notReady(1).Spec.NodeName = "n7"
			w.set().Spec.Template.Spec.NodeName = "n7"
		}},
		{name: "node not ready", want: NodeNotReady, ask: "pod/web-1", disturb: func(w world) {
			w.notReady(1)
			w.Nodes[0].Status.Conditions[0] = corev1.NodeCondition{
				Type: corev1.NodeReady, Status: corev1.ConditionFalse, LastTransitionTime: ago(time.Minute), Reason: "KubeletNotReady", Message: "container runtime is down",
			}
		}},
		{name: "node silent", want: NodeNotReady, ask: "pod/web-1", disturb: func(w world) { w.notReady(1); silent(w) }},
		{name: "disk pressure", want: NodePressure, ask: "pod/web-1", disturb: func(w world) {
			w.waiting("ContainerCreating", "")
			w.Nodes[0].Status.Conditions = append(w.Nodes[0].Status.Conditions, corev1.NodeCondition{
				Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute), Reason: "KubeletHasDiskPressure", Message: "kubelet has disk pressure",
			})
		}},
		{name: "terminating", want: Terminating, ask: "pod/web-1", disturb: func(w world) { deleted(w.Pods[1], 20*time.Second) }},
		{name: "terminating for too long", want: Terminating, ask: "pod/web-1", disturb: func(w world) { deleted(w.Pods[1], -20*time.Minute) }},
		{name: "terminating on a silent node", want: NodeSilent, disturb: func(w world) {
			deleted(w.Pods[2], -time.Minute)
			w.Pods, w.Assigned = w.Pods[2:], w.Assigned[2:]
			silent(w)
		}},
		{name: "terminating on a silent node, to be replaced", want: NodeSilent, disturb: func(w world) {
			deleted(w.Pods[2], -time.Minute)
			w.Pods, w.Assigned = w.Pods[2:], w.Assigned[2:]
			silent(w)
			w.Pods[0].Status.Conditions = append(w.Pods[0].Status.Conditions, corev1.PodCondition{
				Type: nodeloss.Condition, Status: corev1.ConditionTrue, Reason: nodeloss.Awaiting,
				Message: "node n1 is not heard from; its fence stops this pod 40s after the last renewed lease, then it is replaced",
			})
		}},
		{name: "on a silent node, and not to be replaced for want of a fence", want: NodeNotReady, ask: "pod/web-1", disturb: func(w world) {
			w.notReady(1)
			silent(w)
			w.Pods[1].Status.Conditions = append(w.Pods[1].Status.Conditions, corev1.PodCondition{
				Type: nodeloss.Condition, Status: corev1.ConditionFalse, Reason: nodeloss.NotPromised,
				Message: "node n1 is not heard from, and its last renewed lease names no fence that stops this pod: nobody knows whether it still runs, so it is not replaced",
			})
		}},
		{name: "terminating on a node that is gone", want: Terminating, ask: "pod/web-1", disturb: func(w world) {
			deleted(w.Pods[1], -time.Minute).Spec.NodeName = "n7"
		}},
		{name: "finalizer keeps a pod", want: FinalizerKeeps, disturb: func(w world) {
			deleted(w.Pods[1], -time.Minute).Finalizers = []string{"example.com/backup"}
		}},
	}
}
