package cri

import (
	"encoding/json"
	"maps"
	"strconv"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Labels and annotations by which records of a runtime are found again; the
// kubelet's names, which crictl and others know.
const (
	LabelPodName       = "io.kubernetes.pod.name"
	LabelPodNamespace  = "io.kubernetes.pod.namespace"
	LabelPodUID        = "io.kubernetes.pod.uid"
	LabelContainerName = "io.kubernetes.container.name"

	noteHash          = "io.kubernetes.container.hash"
	noteRestartCount  = "io.kubernetes.container.restartCount"
	noteMessagePath   = "io.kubernetes.container.terminationMessagePath"
	noteMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
	notePreStop       = "io.kubernetes.container.preStopHandler"
	notePorts         = "io.kubernetes.container.ports"
	notePodGrace      = "io.kubernetes.pod.terminationGracePeriod"
	notePodDeletion   = "io.kubernetes.pod.deletionGracePeriod"
)

func podLabels(pod *corev1.Pod) map[string]string {
	return map[string]string{
		LabelPodName:      pod.Name,
		LabelPodNamespace: pod.Namespace,
		LabelPodUID:       string(pod.UID),
	}
}

func sandboxLabels(pod *corev1.Pod) map[string]string {
	labels := podLabels(pod)
	for k, v := range pod.Labels {
		if _, ours := labels[k]; !ours {
			labels[k] = v
		}
	}
	return labels
}

func sandboxAnnotations(pod *corev1.Pod) map[string]string {
	notes := maps.Clone(pod.Annotations)
	if notes == nil {
		notes = map[string]string{}
	}
	notes["kubernetes.io/config.source"] = "api"
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		notes[notePodGrace] = strconv.FormatInt(*pod.Spec.TerminationGracePeriodSeconds, 10)
	}
	return notes
}

func containerLabels(pod *corev1.Pod, c *corev1.Container) map[string]string {
	labels := podLabels(pod)
	labels[LabelContainerName] = c.Name
	return labels
}

func containerAnnotations(pod *corev1.Pod, c *corev1.Container, attempt int32) map[string]string {
	notes := map[string]string{
		noteHash:          podsync.Hash(c),
		noteRestartCount:  strconv.Itoa(int(attempt)),
		noteMessagePath:   c.TerminationMessagePath,
		noteMessagePolicy: string(c.TerminationMessagePolicy),
	}
	if pod.DeletionGracePeriodSeconds != nil {
		notes[notePodDeletion] = strconv.FormatInt(*pod.DeletionGracePeriodSeconds, 10)
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		notes[notePodGrace] = strconv.FormatInt(*pod.Spec.TerminationGracePeriodSeconds, 10)
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		if raw, err := json.Marshal(c.Lifecycle.PreStop); err == nil {
			notes[notePreStop] = string(raw)
		}
	}
	if len(c.Ports) > 0 {
		if raw, err := json.Marshal(c.Ports); err == nil {
			notes[notePorts] = string(raw)
		}
	}
	return notes
}

// Orphan rebuilds as much of a pod as the records of its containers tell, so
// that one that the API no longer knows can be stopped as it asked to be.
func Orphan(labels map[string]string, records []Record) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: labels[LabelPodName], Namespace: labels[LabelPodNamespace], UID: types.UID(labels[LabelPodUID]),
	}}
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	seen := map[string]bool{}
	for _, r := range records {
		if grace, err := strconv.ParseInt(r.Notes[notePodGrace], 10, 64); err == nil {
			pod.Spec.TerminationGracePeriodSeconds = &grace
		}
		if seen[r.Name] {
			continue
		}
		seen[r.Name] = true
		c := corev1.Container{Name: r.Name, Image: r.Image}
		if raw := r.Notes[notePreStop]; raw != "" {
			hook := &corev1.LifecycleHandler{}
			if json.Unmarshal([]byte(raw), hook) == nil {
				c.Lifecycle = &corev1.Lifecycle{PreStop: hook}
			}
		}
		_ = json.Unmarshal([]byte(r.Notes[notePorts]), &c.Ports)
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}
