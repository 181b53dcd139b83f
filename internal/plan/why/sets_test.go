package why

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/statefulset"
	"berth.dev/berth/internal/plan/statefulset/options"
)

func setCases() []stuck {
	claimed := func(w world) *corev1.PersistentVolumeClaim {
		w.set().Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "www"}}}
		c := w.claim("")
		c.Name = "www-web-2"
		for i := range 2 {
			w.uses(w.Pods[i], statefulset.ClaimName("www", "web", i))
		}
		w.without(2)
		return c
	}
	return []stuck{
		{name: "ordered start", want: CrashLoop, disturb: func(w world) { w.without(2); w.ended("Error", 1, 3) }},
		{name: "a pod that is to be made later", ask: "pod/web-2", want: CrashLoop, disturb: func(w world) { w.without(2); w.ended("Error", 1, 3) }},
		{name: "a pod that is not wanted", ask: "pod/web-7"},
		{name: "ordered scale-down waits", want: CrashLoop, disturb: func(w world) {
			w.ended("Error", 1, 3)
			w.set().Spec.Replicas = ptr.To(int32(2))
		}},
		{name: "two surplus pods wait for each other", want: CrashLoop, disturb: func(w world) {
			w.ended("Error", 1, 3)
			w.notReady(2).Status = w.Pods[1].Status
			w.set().Spec.Replicas = ptr.To(int32(1))
		}},
		{name: "minReadySeconds", want: MinReadySeconds, disturb: func(w world) {
			w.without(2)
			w.set().Spec.MinReadySeconds = 30
			w.Pods[1].Status.Conditions[0].LastTransitionTime = ago(10 * time.Second)
		}},
		{name: "budget used up", want: ReadinessProbeFails, disturb: func(w world) {
			w.set().Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			w.set().Status.UpdateRevision = "web-b"
			pod := w.notReady(1)
			pod.Labels[appsv1.ControllerRevisionHashLabelKey] = "web-b"
			pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			w.probe("Readiness", "no quorum")
		}},
		{name: "partition", want: PartitionKeeps, disturb: func(w world) {
			w.rolls()
			w.set().Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(2))
			w.Pods[2].Labels[appsv1.ControllerRevisionHashLabelKey] = "web-b"
		}},
		{name: "paused", want: Paused, disturb: func(w world) {
			w.rolls()
			w.set().Annotations = map[string]string{"berth.dev/paused": "true"}
			w.set().Status.Conditions = []appsv1.StatefulSetCondition{{
				Type: statefulset.ConditionProgressing, Status: corev1.ConditionUnknown, Reason: statefulset.RolloutPaused, LastTransitionTime: ago(5 * time.Minute),
			}}
		}},
		{name: "on delete", want: OnDelete, disturb: func(w world) {
			w.rolls()
			w.set().Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		}},
		{name: "start budget", want: ComingUp, disturb: func(w world) {
			w.set().Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			w.set().Annotations = map[string]string{"berth.dev/max-unavailable-scale": "1"}
			w.without(0)
		}},
		{name: "progress deadline", want: ImageNotThere, disturb: func(w world) {
			w.waiting("ImagePullBackOff", "not found")
			w.set().Status.Conditions = []appsv1.StatefulSetCondition{{
				Type: statefulset.ConditionProgressing, Status: corev1.ConditionFalse, Reason: statefulset.ProgressDeadlineExceeded,
				Message: "nothing has moved for 10m0s", LastTransitionTime: ago(time.Minute),
			}}
		}},
		{name: "claim of the next pod is deleted and in use", want: ClaimInUse, disturb: func(w world) {
			c := claimed(w)
			t := ago(time.Minute)
			c.DeletionTimestamp, c.Finalizers = &t, []string{"kubernetes.io/pvc-protection"}
			w.uses(w.Pods[0], c.Name)
		}},
		{name: "claim grows", want: ClaimGrowing, disturb: func(w world) {
			c := claimed(w)
			w.pod(2)
			bound(c, "v1")
			c.Spec.Resources.Requests["storage"] = resource.MustParse("2Gi")
			w.set().Spec.VolumeClaimTemplates[0].Spec.Resources.Requests = c.Spec.Resources.Requests
			c.Status.Capacity = corev1.ResourceList{"storage": resource.MustParse("1Gi")}
		}},
		{name: "claim of the predecessor", want: ClaimStale, disturb: func(w world) {
			w.set().Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenScaled: "Delete", WhenDeleted: "Retain"}
			claimed(w).OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "web-2", UID: "old"}}
		}},
		{name: "controller behind", want: ControllerBehind, disturb: func(w world) { w.set().Generation = 2 }},
		{name: "set deleted", want: Terminating, disturb: func(w world) {
			t := ago(time.Second)
			w.set().DeletionTimestamp, w.set().Finalizers = &t, []string{metav1.FinalizerDeleteDependents}
		}},
		{name: "finalizer keeps a set", want: FinalizerKeeps, disturb: func(w world) {
			t := ago(time.Minute)
			w.set().DeletionTimestamp, w.set().Finalizers = &t, []string{"example.com/backup"}
		}},
		{name: "service missing", want: ServiceMissing, disturb: func(w world) { w.Services = w.Services[:0] }},
		{name: "service selects others", want: ServiceSelectsNone, disturb: func(w world) {
			w.Services[0].Spec.Selector = map[string]string{"app": "nginx"}
		}},
		{name: "pod of another set", want: OwnerConflict, disturb: func(w world) {
			w.Pods[2].OwnerReferences[0] = metav1.OwnerReference{Kind: "ReplicaSet", Name: "web", UID: "other", Controller: ptr.To(true)}
		}},
		{name: "pod of nobody with other labels", want: OwnerConflict, disturb: func(w world) {
			w.Pods[2].OwnerReferences, w.Pods[2].Labels = nil, nil
		}},
		{name: "drain refused", ask: "pod/web-1", want: DisruptionBudget, disturb: func(w world) {
			w.Nodes[0].Spec.Unschedulable = true
			w.budget(0, 3, 3)
		}},
		{name: "rollout refused by a budget", want: DisruptionBudget, disturb: func(w world) {
			w.rolls()
			w.set().Annotations = map[string]string{"berth.dev/respect-pdb": "true"}
			w.budget(0, 3, 3)
		}},
		{name: "primary goes last", want: ReadinessProbeFails, disturb: func(w world) {
			w.rolls()
			w.set().Annotations = map[string]string{"berth.dev/update-order": "role=primary"}
			w.set().Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(2))
			w.Pods[2].Labels["role"] = "primary"
			for i := range 2 {
				w.Pods[i].Labels[appsv1.ControllerRevisionHashLabelKey] = "web-b"
			}
			w.notReady(1).Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			w.probe("Readiness", "no quorum")
		}},
		{name: "overrides are missing", want: OverridesUnusable, disturb: func(w world) { w.overridden(nil) }},
		{name: "overrides are wrong", want: OverridesUnusable, disturb: func(w world) {
			w.overridden(map[string]string{"0-2": "spec: {contaners: []}"})
		}},
		{name: "overrides have changed", want: ComingUp, disturb: func(w world) {
			w.overridden(map[string]string{"1": "metadata: {labels: {role: primary}}"})
		}},
		{name: "overrides could not be read", disturb: func(w world) {
			w.overridden(nil)
			w.Overrides = nil
		}},
		{name: "not in place", want: NotInPlace, disturb: func(w world) {
			w.rolls()
			w.set().Annotations = map[string]string{"berth.dev/in-place-update": "Only"}
		}},
		{name: "images come first", want: AwaitImages, disturb: func(w world) { w.pulls() }},
		{name: "an image that is not there comes first", want: AwaitImages, disturb: func(w world) {
			pod := w.pulls()
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: options.ImagesPulled, Status: corev1.ConditionFalse, Message: "nginx:2: not found",
			})
		}},
		{name: "pods keep ending", want: BackingOff, disturb: func(w world) {
			w.notReady(1).Status.Phase = corev1.PodFailed
			w.set().Status.Conditions = []appsv1.StatefulSetCondition{{
				Type: statefulset.ConditionBackOff, Status: corev1.ConditionTrue, Reason: statefulset.PodsKeepEnding,
				Message: "web-1: replaced 7 times without becoming available, last at 2026-01-02T11:59:50Z",
			}}
		}},
		{name: "set stops its pods in order", want: ComingUp, disturb: func(w world) {
			t := ago(time.Second)
			w.set().Annotations = map[string]string{"berth.dev/ordered-teardown": "true"}
			w.set().DeletionTimestamp, w.set().Finalizers = &t, []string{"berth.dev/ordered-teardown"}
		}},
		{name: "budget misses a pod", ask: "poddisruptionbudget/web", want: CrashLoop, disturb: func(w world) {
			w.ended("Error", 1, 3)
			w.budget(0, 2, 2)
		}},
		{name: "budget has room", ask: "poddisruptionbudget/web", disturb: func(w world) { w.budget(1, 3, 2) }},
	}
}

func refusedCases() []stuck {
	return []stuck{
		{name: "quota exceeded", want: QuotaExceeded, disturb: func(w world) {
			w.refuses(`pods "web-2" is forbidden: exceeded quota: small, requested: cpu=500m,pods=1, used: cpu=1,pods=2, limited: cpu=1,pods=2`)
		}},
		{name: "quota of claims exceeded", want: QuotaExceeded, disturb: func(w world) {
			w.without(2)
			w.event("StatefulSet", "web", "FailedCreate", `Create Claim www-web-2 for Pod web-2 in StatefulSet web failed error: persistentvolumeclaims "www-web-2" is forbidden: exceeded quota: disk, requested: requests.storage=1Gi, used: requests.storage=2Gi, limited: requests.storage=2Gi`)
		}},
		{name: "webhook refuses", want: AdmissionRefuses, disturb: func(w world) {
			w.refuses(`admission webhook "images.example.com" denied the request: image is not signed`)
		}},
		{name: "policy refuses", want: AdmissionRefuses, disturb: func(w world) {
			w.refuses(`pods "web-2" is forbidden: ValidatingAdmissionPolicy 'signed' with binding 'all' denied request: image is not signed`)
		}},
		{name: "pod security refuses", want: AdmissionRefuses, disturb: func(w world) {
			w.refuses(`pods "web-2" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`)
		}},
		{name: "service account missing", want: AdmissionRefuses, disturb: func(w world) {
			w.refuses(`pods "web-" is forbidden: error looking up service account shop/web: serviceaccount "web" not found`)
		}},
		{name: "pod invalid", want: InvalidObject, disturb: func(w world) {
			w.refuses(`Pod "web-2" is invalid: spec.containers[0].image: Required value`)
		}},
		{name: "namespace terminating", want: NamespaceTerminating, disturb: func(w world) {
			t := ago(time.Minute)
			w.Namespace.DeletionTimestamp = &t
			w.Namespace.Status.Conditions = []corev1.NamespaceCondition{{Status: corev1.ConditionTrue, Message: "Some resources are remaining: configmaps. has 1 resource instances"}}
			w.refuses(`pods "web-2" is forbidden: unable to create new content in namespace shop because it is being terminated`)
		}},
		{name: "pod cannot be repaired", want: ImmutableField, disturb: func(w world) {
			w.set().Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "www"}}}
			for i := range 3 {
				w.uses(w.Pods[i], statefulset.ClaimName("www", "web", min(i, 1)))
			}
			w.event("StatefulSet", "web", "FailedUpdate", `Update Pod web-2 in StatefulSet web failed error: Pod "web-2" is invalid: spec: Forbidden: pod updates may not change fields other than `+"`spec.containers[*].image`")
		}},
		{name: "pod older than a claim template", want: VolumeLacking, disturb: func(w world) {
			w.set().Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "www"}}}
			for i := range 2 {
				w.uses(w.Pods[i], statefulset.ClaimName("www", "web", i))
			}
		}},
		{name: "refused once, made since", disturb: func(w world) {
			w.event("StatefulSet", "web", "FailedCreate", "Create Pod web-2 in StatefulSet web failed error: nobody knows")
		}},
	}
}

func otherCases() []stuck {
	deployment := func(w world) *appsv1.Deployment {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "front", UID: "d"}, Status: appsv1.DeploymentStatus{AvailableReplicas: 2}}
		d.Spec.Replicas = ptr.To(int32(3))
		w.Deployments = append(w.Deployments, d)
		for _, name := range []string{"front-1", "front-2"} {
			w.ReplicaSets = append(w.ReplicaSets, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
				Name: name, OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "front", UID: "d", Controller: ptr.To(true)}},
			}})
		}
		w.ReplicaSets[0].UID, w.ReplicaSets[1].UID = "rs-1", "rs-2"
		return d
	}
	return []stuck{
		{name: "service selects nothing", ask: "service/nginx", want: ServiceSelectsNone, disturb: func(w world) {
			w.Services[0].Spec.Selector = map[string]string{"app": "nginx"}
		}},
		{name: "service with a crashing pod", ask: "service/nginx", want: CrashLoop, disturb: func(w world) { w.ended("Error", 1, 2) }},
		{name: "service without selector", ask: "service/nginx", disturb: func(w world) { w.Services[0].Spec.Selector = nil }},
		{name: "deployment refused", ask: "deployment/front", want: QuotaExceeded, disturb: func(w world) {
			deployment(w).Status.Conditions = []appsv1.DeploymentCondition{{
				Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute),
				Message: `pods "front-1-abc" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2`,
			}}
		}},
		{name: "deployment's image not there", ask: "deployment/front", want: ImageNotThere, disturb: func(w world) {
			deployment(w).Status.Conditions = []appsv1.DeploymentCondition{{
				Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", LastTransitionTime: ago(time.Minute),
				Message: `ReplicaSet "front-2" has timed out progressing.`,
			}}
			w.waiting("ErrImagePull", "not found").OwnerReferences[0] = metav1.OwnerReference{Kind: "ReplicaSet", Name: "front-2", UID: "rs-2", Controller: ptr.To(true)}
		}},
		{name: "deployment paused", ask: "deployment/front", want: Paused, disturb: func(w world) { deployment(w).Spec.Paused = true }},
		{name: "job failed", ask: "job/load", want: JobFailed, disturb: func(w world) {
			w.job(batchv1.JobCondition{
				Type: batchv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute),
				Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit",
			})
		}},
		{name: "job suspended", ask: "job/load", want: Paused, disturb: func(w world) { w.job().Spec.Suspend = ptr.To(true) }},
		{name: "job complete", ask: "job/load", disturb: func(w world) {
			w.job(batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue})
		}},
		{name: "job's pod waits for its image", ask: "job/load", want: ImageNotThere, disturb: func(w world) {
			w.job()
			w.waiting("ErrImagePull", "not found").OwnerReferences[0] = metav1.OwnerReference{Kind: "Job", Name: "load", UID: "job-uid", Controller: ptr.To(true)}
		}},
	}
}
