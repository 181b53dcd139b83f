package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Facts are the objects that answers are read from. They are not changed.
type Facts struct {
	Now time.Time
	// Kubectl is how commands begin; "kubectl" when empty.
	Kubectl string
	// Name is the namespace's name. Namespace is nil when it was not read.
	Name      string
	Namespace *corev1.Namespace

	// Of the namespace.
	Sets        []*appsv1.StatefulSet
	Revisions   []*appsv1.ControllerRevision
	Deployments []*appsv1.Deployment
	ReplicaSets []*appsv1.ReplicaSet
	DaemonSets  []*appsv1.DaemonSet
	Jobs        []*batchv1.Job
	CronJobs    []*batchv1.CronJob
	Autoscalers []*autoscalingv2.HorizontalPodAutoscaler
	Pods        []*corev1.Pod
	Claims      []*corev1.PersistentVolumeClaim
	Services    []*corev1.Service
	Budgets     []*policyv1.PodDisruptionBudget
	Events      []*corev1.Event
	// Overrides are the ConfigMaps that sets take patches of their templates
	// from, nil for one that does not exist. One that was not read is not in it.
	Overrides map[string]*corev1.ConfigMap
	// Secrets are the names of the namespace's Secrets; nil when not read.
	Secrets map[string]bool

	// Of the cluster.
	Nodes    []*corev1.Node
	Volumes  []*corev1.PersistentVolume
	Classes  []*storagev1.StorageClass
	Assigned []*corev1.Pod // pods with a node, of all namespaces
	// Unread names what could not be read.
	Unread []string
}

// command is a kubectl command in the namespace.
func (f *Facts) command(format string, args ...any) string {
	return cmp.Or(f.Kubectl, "kubectl") + " -n " + f.Name + " " + fmt.Sprintf(format, args...)
}

// global is a kubectl command about something without a namespace.
func (f *Facts) global(format string, args ...any) string {
	return cmp.Or(f.Kubectl, "kubectl") + " " + fmt.Sprintf(format, args...)
}

func named[T metav1.Object](all []T, name string) (found T, ok bool) {
	i := slices.IndexFunc(all, func(o T) bool { return o.GetName() == name })
	if i < 0 {
		return found, false
	}
	return all[i], true
}

// controlledBy are the objects whose controller has this UID.
func controlledBy[T metav1.Object](all []T, uid types.UID) []T {
	var mine []T
	for _, o := range all {
		if ref := metav1.GetControllerOfNoCopy(o); ref != nil && ref.UID == uid {
			mine = append(mine, o)
		}
	}
	return mine
}

// events are the events about an object, the newest first.
func (f *Facts) events(kind, name string, uid types.UID, reasons ...string) []*corev1.Event {
	var found []*corev1.Event
	for _, e := range f.Events {
		about := &e.InvolvedObject
		if about.Kind == kind && about.Name == name && (uid == "" || about.UID == "" || about.UID == uid) && slices.Contains(reasons, e.Reason) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *corev1.Event) int { return last(b).Compare(last(a)) })
	return found
}

// last is when an event was last seen, first when it was first.
func last(e *corev1.Event) time.Time {
	t := e.CreationTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(t) {
		t = e.Series.LastObservedTime.Time
	}
	for _, other := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if other.After(t) {
			t = other
		}
	}
	return t
}

func first(e *corev1.Event) time.Time {
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.EventTime.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return last(e)
}

// brief is a message of others on one line and not too long.
func brief(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	const most = 300
	if runes := []rune(message); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return message
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func isReady(pod *corev1.Pod) bool {
	c := condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// notReadySince is when a pod was last ready, or was made.
func notReadySince(pod *corev1.Pod) time.Time {
	if c := condition(pod, corev1.PodReady); c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return pod.CreationTimestamp.Time
}

// list names a few of many.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
