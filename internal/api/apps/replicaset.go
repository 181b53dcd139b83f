package apps

import (
	"context"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func replicaSetKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		Resource:      "replicasets",
		Singular:      "replicaset",
		ShortNames:    []string{"rs"},
		Categories:    []string{"all"},
		Namespaced:    true,
		HasStatus:     true,
		HasGeneration: true,
		FieldNames:    []string{"status.replicas"},
		Columns: append(columns.Definitions{
			columns.Name(),
			columns.Column("Desired", "integer", appsv1.ReplicaSetSpec{}.SwaggerDoc()["replicas"]),
			columns.Column("Current", "integer", appsv1.ReplicaSetStatus{}.SwaggerDoc()["replicas"]),
			columns.Column("Ready", "integer", appsv1.ReplicaSetStatus{}.SwaggerDoc()["readyReplicas"]),
			columns.Age(),
		}, append(columns.ContainersWide(), columns.Wide("Selector", appsv1.ReplicaSetSpec{}.SwaggerDoc()["selector"]))...),
		New:                      func() runtime.Object { return &appsv1.ReplicaSet{} },
		NewList:                  func() runtime.Object { return &appsv1.ReplicaSetList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*appsv1.ReplicaSet]{
		Default: func(r *appsv1.ReplicaSet) {
			if r.Spec.Replicas == nil {
				r.Spec.Replicas = new(int32(1))
			}
			defaults.PodTemplateSpec(&r.Spec.Template)
		},
		Validate:             kind.Check(validateReplicaSet),
		ValidateUpdate:       kind.CheckUpdate(validateReplicaSetUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateReplicaSetStatus),
		Warnings:             replicaSetWarnings,
		CopySpec:             func(r, old *appsv1.ReplicaSet) { r.Spec = old.Spec },
		CopyStatus:           func(r, old *appsv1.ReplicaSet) { r.Status = old.Status },
		Fields: func(r *appsv1.ReplicaSet) fields.Set {
			return fields.Set{"status.replicas": strconv.Itoa(int(r.Status.Replicas))}
		},
		Row: replicaSetRow,
		ScaleGet: func(r *appsv1.ReplicaSet) (wanted, have int32, selector string) {
			return deref(r.Spec.Replicas), r.Status.Replicas, selectorText(r.Spec.Selector)
		},
		ScaleSet: func(r *appsv1.ReplicaSet, replicas int32) { r.Spec.Replicas = &replicas },
	})
}

func validateReplicaSet(r *appsv1.ReplicaSet) field.ErrorList {
	var f validation.Findings
	f.Meta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	replicaSetSpec(&f, &r.Spec)
	return f.List()
}

func validateReplicaSetUpdate(r, old *appsv1.ReplicaSet) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	replicaSetSpec(&f, &r.Spec)
	f.Immutable(spec.Child("selector"), r.Spec.Selector, old.Spec.Selector)
	return f.List()
}

func replicaSetSpec(f *validation.Findings, s *appsv1.ReplicaSetSpec) {
	f.OptionalCount(spec.Child("replicas"), s.Replicas)
	f.NotNegative(spec.Child("minReadySeconds"), int64(s.MinReadySeconds))
	replicated(f, s.Selector, &s.Template)
}

func validateReplicaSetStatus(r, old *appsv1.ReplicaSet) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&r.ObjectMeta, &old.ObjectMeta)
	s := &r.Status
	f.ReplicaCounts(status, s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas,
		s.ObservedGeneration, s.TerminatingReplicas)
	return f.List()
}

func replicaSetWarnings(_ context.Context, r, old *appsv1.ReplicaSet) []string {
	switch {
	case old == nil:
		return append(warning.NameForPods(r.Name), warning.PodTemplate(spec.Child("template"), &r.Spec.Template)...)
	case r.Generation != old.Generation:
		return warning.PodTemplate(spec.Child("template"), &r.Spec.Template)
	}
	return nil
}

func replicaSetRow(r *appsv1.ReplicaSet) []any {
	names, images := columns.Containers(r.Spec.Template.Spec.Containers)
	return []any{
		r.Name, int64(deref(r.Spec.Replicas)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas),
		columns.Since(r.CreationTimestamp), names, images, metav1.FormatLabelSelector(r.Spec.Selector),
	}
}
