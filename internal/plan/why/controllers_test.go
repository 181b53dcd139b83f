package why

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const overQuota = `Error creating: pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2`

func owned(kind, name string, uid types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{Kind: kind, Name: name, UID: uid, Controller: ptr.To(true)}}
}

func controllerCases() []stuck {
	replicaSet := func(w world) *appsv1.ReplicaSet {
		rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "front", UID: "rs"}}
		w.ReplicaSets = append(w.ReplicaSets, rs)
		return rs
	}
	daemonSet := func(w world) *appsv1.DaemonSet {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "log", UID: "ds"}, Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, UpdatedNumberScheduled: 2}}
		w.DaemonSets = append(w.DaemonSets, ds)
		return ds
	}
	cronJob := func(w world) *batchv1.CronJob {
		c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "tick", UID: "cj"}}
		c.Spec.ConcurrencyPolicy = batchv1.ForbidConcurrent
		w.CronJobs = append(w.CronJobs, c)
		return c
	}
	autoscaler := func(w world, c autoscalingv2.HorizontalPodAutoscalerCondition) {
		h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
		h.Spec.MaxReplicas, h.Spec.ScaleTargetRef = 3, autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "front"}
		c.LastTransitionTime = ago(time.Minute)
		h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingLimited, Status: corev1.ConditionFalse, Reason: "DesiredWithinRange"}, c}
		w.Autoscalers = append(w.Autoscalers, h)
	}
	return []stuck{
		{name: "replica set refused", ask: "replicaset/front", want: QuotaExceeded, disturb: func(w world) {
			replicaSet(w).Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute), Message: overQuota[16:]}}
		}},
		{name: "replica set's image not there", ask: "replicaset/front", want: ImageNotThere, disturb: func(w world) {
			replicaSet(w)
			w.waiting("ErrImagePull", "not found").OwnerReferences = owned("ReplicaSet", "front", "rs")
		}},
		{name: "daemon set refused", ask: "daemonset/log", want: QuotaExceeded, disturb: func(w world) {
			daemonSet(w)
			w.event("DaemonSet", "log", "FailedCreate", overQuota)
		}},
		{name: "daemon set's image not there", ask: "daemonset/log", want: ImageNotThere, disturb: func(w world) {
			daemonSet(w)
			w.waiting("ErrImagePull", "not found").OwnerReferences = owned("DaemonSet", "log", "ds")
		}},
		{name: "daemon set replaced on delete", ask: "daemonset/log", want: OnDelete, disturb: func(w world) {
			ds := daemonSet(w)
			ds.Spec.UpdateStrategy.Type, ds.Status.UpdatedNumberScheduled = appsv1.OnDeleteDaemonSetStrategyType, 1
		}},
		{name: "daemon set not seen", ask: "daemonset/log", want: ControllerBehind, disturb: func(w world) { daemonSet(w).Generation = 2 }},
		{name: "daemon set of no node", ask: "daemonset/log", disturb: func(w world) { daemonSet(w).Status = appsv1.DaemonSetStatus{} }},
		{name: "job refused", ask: "job/load", want: QuotaExceeded, disturb: func(w world) {
			w.job()
			w.event("Job", "load", "FailedCreate", overQuota)
		}},
		{name: "cron job suspended", ask: "cronjob/tick", want: Paused, disturb: func(w world) { cronJob(w).Spec.Suspend = ptr.To(true) }},
		{name: "cron job refused", ask: "cronjob/tick", want: AdmissionRefuses, disturb: func(w world) {
			cronJob(w)
			w.event("CronJob", "tick", "FailedCreate", `Error creating job: jobs.batch "tick-1" is forbidden: admission says no`)
		}},
		{name: "cron job's last job runs", ask: "cronjob/tick", want: PreviousRuns, disturb: func(w world) {
			j := w.job()
			j.OwnerReferences = owned("CronJob", "tick", "cj")
			cronJob(w).Status.Active = []corev1.ObjectReference{{Name: j.Name, UID: j.UID}}
		}},
		{name: "autoscaler without metrics", ask: "horizontalpodautoscaler/web", want: NotScaling, disturb: func(w world) {
			autoscaler(w, autoscalingv2.HorizontalPodAutoscalerCondition{
				Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetResourceMetric", Message: "missing request for cpu in container web of Pod web-0",
			})
		}},
		{name: "autoscaler without a target", ask: "horizontalpodautoscaler/web", want: NotScaling, disturb: func(w world) {
			autoscaler(w, autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionFalse, Reason: "FailedGetScale", Message: `deployments.apps "front" not found`})
		}},
		{name: "autoscaler at its most", ask: "horizontalpodautoscaler/web", want: MostReplicas, disturb: func(w world) {
			autoscaler(w, autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingLimited, Status: corev1.ConditionTrue, Reason: "TooManyReplicas"})
		}},
		{name: "autoscaler of nothing", ask: "horizontalpodautoscaler/web", want: Paused, disturb: func(w world) {
			autoscaler(w, autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "ScalingDisabled"})
		}},
	}
}
