package apps

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/warning"
)

func deploymentKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           appsv1.SchemeGroupVersion.WithKind("Deployment"),
		Resource:      "deployments",
		Singular:      "deployment",
		ShortNames:    []string{"deploy"},
		Categories:    []string{"all"},
		Namespaced:    true,
		HasStatus:     true,
		StatusKeeps:   []string{"metadata.labels"},
		HasGeneration: true,
		Columns: append(columns.Definitions{
			columns.Name(),
			columns.Column("Ready", "string", "Number of the pod with ready state"),
			columns.Column("Up-to-date", "string", appsv1.DeploymentStatus{}.SwaggerDoc()["updatedReplicas"]),
			columns.Column("Available", "string", appsv1.DeploymentStatus{}.SwaggerDoc()["availableReplicas"]),
			columns.Age(),
		}, append(columns.ContainersWide(), columns.Wide("Selector", appsv1.DeploymentSpec{}.SwaggerDoc()["selector"]))...),
		New:                      func() runtime.Object { return &appsv1.Deployment{} },
		NewList:                  func() runtime.Object { return &appsv1.DeploymentList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*appsv1.Deployment]{
		Default:              defaultDeployment,
		PrepareUpdate:        prepareDeploymentUpdate,
		PrepareStatusUpdate:  func(_ context.Context, d, old *appsv1.Deployment) { d.Labels = old.Labels },
		Validate:             kind.Check(validateDeployment),
		ValidateUpdate:       kind.CheckUpdate(validateDeploymentUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateDeploymentStatus),
		Warnings:             deploymentWarnings,
		CopySpec:             func(d, old *appsv1.Deployment) { d.Spec = old.Spec },
		CopyStatus:           func(d, old *appsv1.Deployment) { d.Status = old.Status },
		Row:                  deploymentRow,
		ScaleGet: func(d *appsv1.Deployment) (wanted, have int32, selector string) {
			return deref(d.Spec.Replicas), d.Status.Replicas, selectorText(d.Spec.Selector)
		},
		ScaleSet: func(d *appsv1.Deployment, replicas int32) { d.Spec.Replicas = &replicas },
	})
}

func defaultDeployment(d *appsv1.Deployment) {
	s := &d.Spec
	if s.Replicas == nil {
		s.Replicas = new(int32(1))
	}
	if s.Strategy.Type == "" {
		s.Strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		if s.Strategy.RollingUpdate == nil {
			s.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		for _, share := range []**intstr.IntOrString{&s.Strategy.RollingUpdate.MaxUnavailable, &s.Strategy.RollingUpdate.MaxSurge} {
			if *share == nil {
				*share = new(intstr.FromString("25%"))
			}
		}
	}
	if s.RevisionHistoryLimit == nil {
		s.RevisionHistoryLimit = new(int32(10))
	}
	if s.ProgressDeadlineSeconds == nil {
		s.ProgressDeadlineSeconds = new(int32(600))
	}
	defaults.PodTemplateSpec(&s.Template)
}

// prepareDeploymentUpdate lets annotations make a generation too: replica sets
// get copies of them.
func prepareDeploymentUpdate(_ context.Context, d, old *appsv1.Deployment) {
	if !equality.Semantic.DeepEqual(d.Annotations, old.Annotations) {
		d.Generation = old.Generation + 1
	}
}

func deploymentWarnings(_ context.Context, d, old *appsv1.Deployment) []string {
	switch {
	case old == nil:
		return append(warning.NameForPods(d.Name), warning.PodTemplate(spec.Child("template"), &d.Spec.Template)...)
	case d.Generation != old.Generation:
		return warning.PodTemplate(spec.Child("template"), &d.Spec.Template)
	}
	return nil
}

func deploymentRow(d *appsv1.Deployment) []any {
	names, images := columns.Containers(d.Spec.Template.Spec.Containers)
	return []any{
		d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, deref(d.Spec.Replicas)),
		int64(d.Status.UpdatedReplicas), int64(d.Status.AvailableReplicas),
		columns.Since(d.CreationTimestamp), names, images, selectorText(d.Spec.Selector),
	}
}
