package why

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/revision"
	"berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-d)) }

// world is a set web of three ready pods on node n1, for cases to disturb.
type world struct{ *Facts }

func healthy() world {
	w := world{&Facts{
		Now: noon, Name: "shop", Namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		Secrets: map[string]bool{}, Nodes: []*corev1.Node{}, Volumes: []*corev1.PersistentVolume{},
		Services: []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}}}},
	}}
	w.node("n1")
	w.Sets = []*appsv1.StatefulSet{{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "web-uid", Generation: 1, CreationTimestamp: ago(time.Hour)},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(int32(3)), ServiceName: "nginx",
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "nginx:1"}}},
			},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{}},
		},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, CurrentRevision: "web-a", UpdateRevision: "web-a", CurrentReplicas: 3},
	}}
	for i := range 3 {
		w.pod(i)
	}
	return w
}

func (w world) set() *appsv1.StatefulSet { return w.Sets[0] }

// pod adds the set's pod of an ordinal, ready for an hour.
func (w world) pod(ordinal int) *corev1.Pod {
	pod := statefulset.NewPod(w.set(), &w.set().Spec.Template, w.set().Status.CurrentRevision, ordinal)
	pod.UID, pod.CreationTimestamp = types.UID("uid-"+pod.Name), ago(time.Hour)
	pod.Spec.NodeName = "n1"
	pod.Status = corev1.PodStatus{
		Phase:      corev1.PodRunning,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Hour)}},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "nginx", Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(time.Hour)}},
		}},
	}
	w.Pods = append(w.Pods, pod)
	w.Assigned = append(w.Assigned, pod)
	return pod
}

// without removes the pods from this one on.
func (w world) without(ordinal int) {
	w.Pods, w.Assigned = w.Pods[:ordinal], w.Assigned[:ordinal]
}

// waiting is pod web-1 not ready since two minutes, its container waiting.
func (w world) waiting(reason, message string) *corev1.Pod {
	pod := w.notReady(1)
	pod.Status.Phase = corev1.PodPending
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	return pod
}

func (w world) notReady(ordinal int) *corev1.Pod {
	pod := w.Pods[ordinal]
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	pod.Status.Conditions[0].LastTransitionTime = ago(2 * time.Minute)
	pod.Status.ContainerStatuses[0].Ready = false
	return pod
}

// unplaced is pod web-1 without a node.
func (w world) unplaced() *corev1.Pod {
	pod := w.Pods[1]
	pod.Spec.NodeName = ""
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, LastTransitionTime: ago(2 * time.Minute),
	}}}
	w.Assigned = append(w.Assigned[:1:1], w.Assigned[2:]...)
	return pod
}

func (w world) ended(reason string, code, restarts int32) *corev1.Pod {
	pod := w.waiting("CrashLoopBackOff", "back-off 40s restarting failed container=nginx pod=web-1_shop")
	pod.Status.Phase = corev1.PodRunning
	st := &pod.Status.ContainerStatuses[0]
	st.RestartCount = restarts
	st.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, FinishedAt: ago(20 * time.Second)}
	return pod
}

func (w world) node(name string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("10"),
	}
	w.Nodes = append(w.Nodes, node)
	return node
}

func (w world) event(kind, name, reason, message string) *corev1.Event {
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("e%d", len(w.Events))},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name},
		Reason:         reason, Message: message, FirstTimestamp: ago(3 * time.Minute), LastTimestamp: ago(10 * time.Second),
	}
	w.Events = append(w.Events, e)
	return e
}

func (w world) probe(kind, message string) {
	e := w.event("Pod", "web-1", "Unhealthy", kind+" probe failed: "+message)
	e.InvolvedObject.FieldPath = "spec.containers{nginx}"
}

// refuses leaves web-2 out and records why it cannot be made.
func (w world) refuses(message string) {
	w.without(2)
	w.event("StatefulSet", "web", "FailedCreate", "Create Pod web-2 in StatefulSet web failed error: "+message)
}

// claim adds claim data of 1Gi, which pod web-1 uses, unbound.
func (w world) claim(class string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", UID: "claim-uid", CreationTimestamp: ago(4 * time.Minute)}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if class != "none" {
		c.Spec.StorageClassName = &class
	}
	c.Status.Phase = corev1.ClaimPending
	w.Claims = append(w.Claims, c)
	return c
}

func (w world) uses(pod *corev1.Pod, claim string) {
	template, _, _ := strings.Cut(claim, "-") // as a StatefulSet names it
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: template, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}})
}

func bound(c *corev1.PersistentVolumeClaim, to string) {
	c.Spec.VolumeName, c.Status.Phase = to, corev1.ClaimBound
	c.Annotations = map[string]string{volume.AnnBindCompleted: "yes"}
}

func (w world) class(name, provisioner string, mode storagev1.VolumeBindingMode) {
	w.Classes = append(w.Classes, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode})
}

func (w world) volume(name, class, size string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
	pv.Spec.StorageClassName = class
	pv.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	w.Volumes = append(w.Volumes, pv)
	return pv
}

func (w world) budget(allowed, healthy, desired int32) {
	w.Budgets = append(w.Budgets, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: w.set().Spec.Selector, MinAvailable: ptr.To(intstr.FromInt32(desired))},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed, CurrentHealthy: healthy, DesiredHealthy: desired, ExpectedPods: 3},
	})
}

func (w world) job(conditions ...batchv1.JobCondition) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "load", UID: "job-uid"}, Status: batchv1.JobStatus{Conditions: conditions}}
	w.Jobs = append(w.Jobs, j)
	return j
}

// rolls gives the set an update revision that its pods are not of.
// overridden makes the set take patches from a ConfigMap, which is missing when
// data is nil.
func (w world) overridden(data map[string]string) {
	w.set().Annotations = map[string]string{"berth.dev/overrides": "web-pods"}
	w.Overrides = map[string]*corev1.ConfigMap{"web-pods": nil}
	if data != nil {
		w.Overrides["web-pods"] = &corev1.ConfigMap{Data: data}
	}
}

// pulls is pod web-2, whose node gets the image of a new revision.
func (w world) pulls() *corev1.Pod {
	w.rolls()
	w.set().Annotations = map[string]string{"berth.dev/pre-pull": "true"}
	w.set().Spec.Template.Spec.Containers[0].Image = "nginx:2"
	next, err := revision.New(w.set(), statefulset.SetRef(w.set()), &w.set().Spec.Template, 2, 0)
	if err != nil {
		panic(err)
	}
	next.Name = "web-b"
	w.Revisions = append(w.Revisions, next)
	pod := w.Pods[2]
	pod.Annotations = map[string]string{options.PullAnnotation: options.Pull{Images: []string{"nginx:2"}, Since: noon.Add(-time.Minute)}.String()}
	return pod
}

func (w world) rolls() {
	w.set().Status.UpdateRevision = "web-b"
}
