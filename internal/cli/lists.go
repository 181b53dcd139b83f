package cli

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/plan/statefulset/options"
)

// namespaced reads the namespace's objects.
func (g *gathering) namespaced(client kubernetes.Interface) {
	f := g.facts
	f.Sets = pick(g, "statefulsets", client.AppsV1().StatefulSets(f.Name).List, func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items })
	f.Overrides = map[string]*corev1.ConfigMap{}
	for _, set := range f.Sets {
		if name := overridesOf(set); name != "" {
			g.overrides(client, name)
		}
	}
	f.Revisions = pick(g, "controllerrevisions", client.AppsV1().ControllerRevisions(f.Name).List, func(l *appsv1.ControllerRevisionList) []appsv1.ControllerRevision { return l.Items })
	f.Deployments = pick(g, "deployments", client.AppsV1().Deployments(f.Name).List, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items })
	f.ReplicaSets = pick(g, "replicasets", client.AppsV1().ReplicaSets(f.Name).List, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
	f.DaemonSets = pick(g, "daemonsets", client.AppsV1().DaemonSets(f.Name).List, func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items })
	f.CronJobs = pick(g, "cronjobs", client.BatchV1().CronJobs(f.Name).List, func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items })
	f.Autoscalers = pick(g, "horizontalpodautoscalers", client.AutoscalingV2().HorizontalPodAutoscalers(f.Name).List,
		func(l *autoscalingv2.HorizontalPodAutoscalerList) []autoscalingv2.HorizontalPodAutoscaler {
			return l.Items
		})
	f.Jobs = pick(g, "jobs", client.BatchV1().Jobs(f.Name).List, func(l *batchv1.JobList) []batchv1.Job { return l.Items })
	f.Claims = pick(g, "persistentvolumeclaims", client.CoreV1().PersistentVolumeClaims(f.Name).List,
		func(l *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return l.Items })
	f.Services = pick(g, "services", client.CoreV1().Services(f.Name).List, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
	f.Budgets = pick(g, "poddisruptionbudgets", client.PolicyV1().PodDisruptionBudgets(f.Name).List,
		func(l *policyv1.PodDisruptionBudgetList) []policyv1.PodDisruptionBudget { return l.Items })
	f.Events = pick(g, "events", client.CoreV1().Events(f.Name).List, func(l *corev1.EventList) []corev1.Event { return l.Items })
}

// overridesOf names the ConfigMap that a set takes patches from, if any.
func overridesOf(set *appsv1.StatefulSet) string {
	asked, _ := options.Parse(set.Annotations)
	return asked.Overrides
}

// overrides reads a ConfigMap that a set takes patches from.
func (g *gathering) overrides(client kubernetes.Interface, name string) {
	if _, known := g.facts.Overrides[name]; known || g.err != nil {
		return
	}
	found, err := client.CoreV1().ConfigMaps(g.facts.Name).Get(g.ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		g.facts.Overrides[name] = found
	case apierrors.IsNotFound(err):
		g.facts.Overrides[name] = nil
	default:
		g.note("configmaps", err)
	}
}

// cluster reads what pods are placed on. All pods of the cluster matter only
// while one of the namespace's has no node.
func (g *gathering) cluster(client kubernetes.Interface) {
	f := g.facts
	f.Nodes = pick(g, "nodes", client.CoreV1().Nodes().List, func(l *corev1.NodeList) []corev1.Node { return l.Items })
	f.Volumes = pick(g, "persistentvolumes", client.CoreV1().PersistentVolumes().List, func(l *corev1.PersistentVolumeList) []corev1.PersistentVolume { return l.Items })
	f.Classes = pick(g, "storageclasses", client.StorageV1().StorageClasses().List, func(l *storagev1.StorageClassList) []storagev1.StorageClass { return l.Items })
	if slices.ContainsFunc(f.Pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == "" }) {
		f.Assigned = pickSome(g, "pods of all namespaces", metav1.ListOptions{FieldSelector: "spec.nodeName!="},
			client.CoreV1().Pods("").List, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	}
}
