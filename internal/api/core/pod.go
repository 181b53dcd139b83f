package core

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func podKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           corev1.SchemeGroupVersion.WithKind("Pod"),
		Resource:      "pods",
		Singular:      "pod",
		ShortNames:    []string{"po"},
		Categories:    []string{"all"},
		Namespaced:    true,
		New:           func() runtime.Object { return &corev1.Pod{} },
		NewList:       func() runtime.Object { return &corev1.PodList{} },
		HasStatus:     true,
		StatusKeeps:   []string{"metadata.deletionTimestamp", "metadata.ownerReferences"},
		HasGeneration: true,
		FieldNames: []string{
			"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
			"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
		},
		FieldAliases:             map[string]string{"spec.host": "spec.nodeName"},
		AllowUnconditionalUpdate: true,
		Columns:                  columns.Pod,
		Parts:                    podParts(),
	}, kind.Rules[*corev1.Pod]{
		Default:              defaults.Pod,
		PrepareCreate:        newPod,
		PrepareStatusUpdate:  podStatusUpdate,
		Validate:             kind.Check(validation.Pod),
		ValidateUpdate:       kind.CheckUpdate(validation.PodUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validation.PodStatusUpdate),
		Warnings:             podWarnings,
		CopySpec:             func(p, old *corev1.Pod) { p.Spec = old.Spec },
		CopyStatus:           func(p, old *corev1.Pod) { p.Status = old.Status },
		Fields:               podFields,
		Row:                  columns.PodRow,
		DefaultGracePeriod:   podGracePeriod,
	})
}

func podFields(p *corev1.Pod) fields.Set {
	ip := ""
	if len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return fields.Set{
		"spec.nodeName":            p.Spec.NodeName,
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(p.Spec.HostNetwork),
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             ip,
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

func podWarnings(_ context.Context, p, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	return warning.Pod(p)
}

// podStatusUpdate keeps what a node agent may not change.
func podStatusUpdate(_ context.Context, p, old *corev1.Pod) {
	p.DeletionTimestamp = nil
	p.OwnerReferences = old.OwnerReferences
	if p.Status.QOSClass == "" {
		p.Status.QOSClass = old.Status.QOSClass
	}
	keepObservedGeneration(&p.Status, &old.Status)
}

// podGracePeriod is the time that a pod gets to end: none where nothing runs.
func podGracePeriod(p *corev1.Pod, requested *int64) int64 {
	switch phase := p.Status.Phase; {
	case p.Spec.NodeName == "", phase == corev1.PodFailed, phase == corev1.PodSucceeded:
		return 0
	}
	period := requested
	if period == nil {
		period = p.Spec.TerminationGracePeriodSeconds
	}
	switch {
	case period == nil:
		return 0
	case *period < 0:
		return 1
	}
	return *period
}

// keepObservedGeneration fills in what a client that does not know the field
// would take away.
func keepObservedGeneration(s, old *corev1.PodStatus) {
	if s.ObservedGeneration == 0 {
		s.ObservedGeneration = old.ObservedGeneration
	}
	seen := map[corev1.PodConditionType][]int64{} // a type may occur more than once
	for _, c := range old.Conditions {
		seen[c.Type] = append(seen[c.Type], c.ObservedGeneration)
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if was := seen[c.Type]; len(was) > 0 {
			if c.ObservedGeneration == 0 {
				c.ObservedGeneration = was[0]
			}
			seen[c.Type] = was[1:]
		}
	}
}
