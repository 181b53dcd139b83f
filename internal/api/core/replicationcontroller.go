package core

import (
	"context"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
	"berth.dev/berth/internal/api/warning"
)

func replicationControllerKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:               corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		Resource:          "replicationcontrollers",
		Singular:          "replicationcontroller",
		ShortNames:        []string{"rc"},
		Categories:        []string{"all"},
		Namespaced:        true,
		HasStatus:         true,
		HasGeneration:     true,
		OrphansDependents: true,
		FieldNames:        []string{"status.replicas"},
		Columns: append(columns.Definitions{
			columns.Name(),
			columns.Column("Desired", "integer", corev1.ReplicationControllerSpec{}.SwaggerDoc()["replicas"]),
			columns.Column("Current", "integer", corev1.ReplicationControllerStatus{}.SwaggerDoc()["replicas"]),
			columns.Column("Ready", "integer", corev1.ReplicationControllerStatus{}.SwaggerDoc()["readyReplicas"]),
			columns.Age(),
		}, append(columns.ContainersWide(), columns.Wide("Selector", corev1.ReplicationControllerSpec{}.SwaggerDoc()["selector"]))...),
		New:                      func() runtime.Object { return &corev1.ReplicationController{} },
		NewList:                  func() runtime.Object { return &corev1.ReplicationControllerList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*corev1.ReplicationController]{
		Default:              defaultReplicationController,
		Validate:             kind.Check(validateReplicationController),
		ValidateUpdate:       kind.CheckUpdate(validateReplicationControllerUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateReplicationControllerStatus),
		Warnings:             replicationControllerWarnings,
		CopySpec:             func(c, old *corev1.ReplicationController) { c.Spec = old.Spec },
		CopyStatus:           func(c, old *corev1.ReplicationController) { c.Status = old.Status },
		Fields: func(c *corev1.ReplicationController) fields.Set {
			return fields.Set{"status.replicas": strconv.Itoa(int(c.Status.Replicas))}
		},
		Row: replicationControllerRow,
		ScaleGet: func(c *corev1.ReplicationController) (wanted, have int32, selector string) {
			return wantedReplicas(c), c.Status.Replicas, labels.Set(c.Spec.Selector).String()
		},
		ScaleSet: func(c *corev1.ReplicationController, replicas int32) { c.Spec.Replicas = &replicas },
	})
}

func wantedReplicas(c *corev1.ReplicationController) int32 {
	if c.Spec.Replicas == nil {
		return 0
	}
	return *c.Spec.Replicas
}

// defaultReplicationController takes the labels of the template for the
// selector and for the controller's own where those are left out.
func defaultReplicationController(c *corev1.ReplicationController) {
	s := &c.Spec
	if s.Template != nil && s.Template.Labels != nil {
		if len(s.Selector) == 0 {
			s.Selector = maps.Clone(s.Template.Labels)
		}
		if len(c.Labels) == 0 {
			c.Labels = maps.Clone(s.Template.Labels)
		}
	}
	if s.Replicas == nil {
		s.Replicas = new(int32(1))
	}
	if s.Template != nil {
		defaults.PodTemplateSpec(s.Template)
	}
}

func validateReplicationController(c *corev1.ReplicationController) field.ErrorList {
	var f validation.Findings
	f.Meta(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	replicationControllerSpec(&f, &c.Spec)
	return f.List()
}

func validateReplicationControllerUpdate(c, old *corev1.ReplicationController) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	replicationControllerSpec(&f, &c.Spec)
	return f.List()
}

func replicationControllerSpec(f *validation.Findings, s *corev1.ReplicationControllerSpec) {
	spec := field.NewPath("spec")
	f.NotNegative(spec.Child("minReadySeconds"), int64(s.MinReadySeconds))
	selector := labels.Set(s.Selector).AsSelector()
	if selector.Empty() {
		f.Required(spec.Child("selector"), "")
	}
	if s.Replicas == nil {
		f.Required(spec.Child("replicas"), "")
	} else {
		f.NotNegative(spec.Child("replicas"), int64(*s.Replicas))
	}
	p := spec.Child("template")
	if s.Template == nil {
		f.Required(p, "")
		return
	}
	if !selector.Empty() && !selector.Matches(labels.Set(s.Template.Labels)) {
		f.Invalid(p.Child("metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`")
	}
	f.PodTemplate(p, s.Template)
	f.Endless(p, s.Template, "ReplicationController")
}

func validateReplicationControllerStatus(c, old *corev1.ReplicationController) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	s := &c.Status
	f.ReplicaCounts(field.NewPath("status"), s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas,
		s.ObservedGeneration, nil)
	return f.List()
}

func replicationControllerWarnings(_ context.Context, c, old *corev1.ReplicationController) []string {
	var w []string
	switch {
	case old == nil:
		w = warning.NameForPods(c.Name)
	case c.Generation == old.Generation:
		return nil
	}
	if c.Spec.Template == nil {
		return w
	}
	return append(w, warning.PodTemplate(field.NewPath("spec", "template"), c.Spec.Template)...)
}

func replicationControllerRow(c *corev1.ReplicationController) []any {
	var list []corev1.Container
	if c.Spec.Template != nil {
		list = c.Spec.Template.Spec.Containers
	}
	names, images := columns.Containers(list)
	return []any{
		c.Name, int64(wantedReplicas(c)), int64(c.Status.Replicas), int64(c.Status.ReadyReplicas),
		columns.Since(c.CreationTimestamp), names, images, labels.FormatLabels(c.Spec.Selector),
	}
}
