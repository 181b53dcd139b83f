package why

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workload is whose template a pod is made from, and so what is to be changed.
type workload struct {
	kind, name string
	// undo: the pod is of a revision that a rollout goes to, and there is one to go back to.
	undo bool
}

func (w workload) String() string { return w.kind + "/" + w.name }

func (f *Facts) workload(pod *corev1.Pod) workload {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return workload{kind: "pod", name: pod.Name}
	}
	switch owner.Kind {
	case "StatefulSet":
		w := workload{kind: "statefulset", name: owner.Name}
		if set, ok := named(f.Sets, owner.Name); ok {
			s := &set.Status
			w.undo = s.CurrentRevision != "" && s.CurrentRevision != s.UpdateRevision && pod.Labels[appsv1.ControllerRevisionHashLabelKey] == s.UpdateRevision
		}
		return w
	case "ReplicaSet":
		rs, ok := named(f.ReplicaSets, owner.Name)
		if !ok {
			return workload{kind: "replicaset", name: owner.Name}
		}
		if up := metav1.GetControllerOfNoCopy(rs); up != nil {
			return workload{kind: "deployment", name: up.Name, undo: len(controlledBy(f.ReplicaSets, up.UID)) > 1}
		}
		return workload{kind: "replicaset", name: owner.Name}
	case "DaemonSet":
		return workload{kind: "daemonset", name: owner.Name}
	case "Job":
		return workload{kind: "job", name: owner.Name}
	}
	return workload{kind: "pod", name: pod.Name}
}

// templateNode is the node that the pod's template names, if any.
func (f *Facts) templateNode(pod *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return ""
	}
	if set, ok := named(f.Sets, owner.Name); ok && owner.UID == set.UID {
		return set.Spec.Template.Spec.NodeName
	}
	if rs, ok := named(f.ReplicaSets, owner.Name); ok && owner.UID == rs.UID {
		return rs.Spec.Template.Spec.NodeName
	}
	return ""
}

// fixImage is the command that gets rid of a wrong image.
func (f *Facts) fixImage(pod *corev1.Pod, container string) string {
	w := f.workload(pod)
	switch {
	case w.undo:
		return f.command("rollout undo %s", w)
	case w.kind == "job":
		return f.command("delete %s", w) + "   # a Job's template cannot change: create it anew"
	}
	return f.command("set image %s %s=IMAGE", w, container)
}

// fixTemplate is the command that gets rid of a wrong template.
func (f *Facts) fixTemplate(pod *corev1.Pod) string {
	w := f.workload(pod)
	if w.undo {
		return f.command("rollout undo %s", w)
	}
	return f.command("edit %s", w)
}

// fixResources is the command that gives a container other resources.
func (f *Facts) fixResources(pod *corev1.Pod, container, flag, resource, value string) string {
	w := f.workload(pod)
	if w.kind == "pod" || w.kind == "job" {
		return f.command("delete %s", w) + fmt.Sprintf("   # and create it with another %s.%s", flag, resource)
	}
	return f.command("set resources %s -c %s --%s=%s=%s", w, container, flag, resource, value)
}
