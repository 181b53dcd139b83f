package apps

import (
	"context"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/defaults"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/warning"
)

func daemonSetKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
		Resource:                 "daemonsets",
		Singular:                 "daemonset",
		ShortNames:               []string{"ds"},
		Categories:               []string{"all"},
		Namespaced:               true,
		HasStatus:                true,
		HasGeneration:            true,
		Columns:                  daemonSetColumns(),
		New:                      func() runtime.Object { return &appsv1.DaemonSet{} },
		NewList:                  func() runtime.Object { return &appsv1.DaemonSetList{} },
		AllowUnconditionalUpdate: true,
	}, kind.Rules[*appsv1.DaemonSet]{
		Default:              defaultDaemonSet,
		PrepareCreate:        prepareDaemonSet,
		PrepareUpdate:        prepareDaemonSetUpdate,
		Validate:             kind.Check(validateDaemonSet),
		ValidateUpdate:       kind.CheckUpdate(validateDaemonSetUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateDaemonSetStatus),
		Warnings:             daemonSetWarnings,
		CopySpec:             func(d, old *appsv1.DaemonSet) { d.Spec = old.Spec },
		CopyStatus:           func(d, old *appsv1.DaemonSet) { d.Status = old.Status },
		Row:                  daemonSetRow,
	})
}

func defaultDaemonSet(d *appsv1.DaemonSet) {
	u := &d.Spec.UpdateStrategy
	if u.Type == "" {
		u.Type = appsv1.RollingUpdateDaemonSetStrategyType
	}
	if u.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		if u.RollingUpdate == nil {
			u.RollingUpdate = &appsv1.RollingUpdateDaemonSet{}
		}
		if u.RollingUpdate.MaxUnavailable == nil {
			u.RollingUpdate.MaxUnavailable = new(intstr.FromInt32(1))
		}
		if u.RollingUpdate.MaxSurge == nil {
			u.RollingUpdate.MaxSurge = new(intstr.FromInt32(0))
		}
	}
	if d.Spec.RevisionHistoryLimit == nil {
		d.Spec.RevisionHistoryLimit = new(int32(10))
	}
	defaults.PodTemplateSpec(&d.Spec.Template)
}

// templateGeneration is a field of older versions that lives on as an
// annotation. It counts the templates.
func templateGeneration(d *appsv1.DaemonSet) (n int64, err error) {
	text, ok := d.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !ok {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	metav1.SetMetaDataAnnotation(&d.ObjectMeta, appsv1.DeprecatedTemplateGeneration, strconv.FormatInt(n, 10))
}

func prepareDaemonSet(_ context.Context, d *appsv1.DaemonSet) {
	if n, err := templateGeneration(d); err == nil && n < 1 {
		setTemplateGeneration(d, 1)
	}
}

func prepareDaemonSetUpdate(_ context.Context, d, old *appsv1.DaemonSet) {
	n, err := templateGeneration(old)
	if err != nil {
		return
	}
	if !equality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template) {
		n++
	}
	setTemplateGeneration(d, n)
}

func daemonSetWarnings(_ context.Context, d, old *appsv1.DaemonSet) []string {
	if old != nil && d.Annotations[appsv1.DeprecatedTemplateGeneration] == old.Annotations[appsv1.DeprecatedTemplateGeneration] {
		return nil
	}
	return warning.PodTemplate(spec.Child("template"), &d.Spec.Template)
}

func daemonSetColumns() columns.Definitions {
	doc := appsv1.DaemonSetStatus{}.SwaggerDoc()
	return append(columns.Definitions{
		columns.Name(),
		columns.Column("Desired", "integer", doc["desiredNumberScheduled"]),
		columns.Column("Current", "integer", doc["currentNumberScheduled"]),
		columns.Column("Ready", "integer", doc["numberReady"]),
		columns.Column("Up-to-date", "integer", doc["updatedNumberScheduled"]),
		columns.Column("Available", "integer", doc["numberAvailable"]),
		columns.Column("Node Selector", "string", corev1.PodSpec{}.SwaggerDoc()["nodeSelector"]),
		columns.Age(),
	}, append(columns.ContainersWide(), columns.Wide("Selector", appsv1.DaemonSetSpec{}.SwaggerDoc()["selector"]))...)
}

func daemonSetRow(d *appsv1.DaemonSet) []any {
	s := &d.Status
	names, images := columns.Containers(d.Spec.Template.Spec.Containers)
	return []any{
		d.Name, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberReady),
		int64(s.UpdatedNumberScheduled), int64(s.NumberAvailable), labels.FormatLabels(d.Spec.Template.Spec.NodeSelector),
		columns.Since(d.CreationTimestamp), names, images, metav1.FormatLabelSelector(d.Spec.Selector),
	}
}
