package resource

import (
	"context"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
	"berth.dev/berth/internal/api/validation"
)

func resourceClaimTemplateKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:                      resourcev1.SchemeGroupVersion.WithKind("ResourceClaimTemplate"),
		Resource:                 "resourceclaimtemplates",
		Singular:                 "resourceclaimtemplate",
		Namespaced:               true,
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &resourcev1.ResourceClaimTemplate{} },
		NewList:                  func() runtime.Object { return &resourcev1.ResourceClaimTemplateList{} },
		Columns:                  columns.Definitions{columns.Name(), columns.Age()},
	}, kind.Rules[*resourcev1.ResourceClaimTemplate]{
		Default:       func(t *resourcev1.ResourceClaimTemplate) { defaultClaim(&t.Spec.Spec) },
		PrepareCreate: func(_ context.Context, t *resourcev1.ResourceClaimTemplate) { dropGated(&t.Spec.Spec) },
		PrepareUpdate: func(_ context.Context, t, _ *resourcev1.ResourceClaimTemplate) { dropGated(&t.Spec.Spec) },
		Validate: func(ctx context.Context, t *resourcev1.ResourceClaimTemplate) field.ErrorList {
			c := &check{ctx: ctx}
			c.Meta(&t.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
			c.Labelled(&t.Spec.ObjectMeta, specPath.Child("metadata"))
			c.claim(specPath.Child("spec", "devices"), &t.Spec.Spec.Devices)
			return c.List()
		},
		ValidateUpdate: kind.CheckUpdate(validateTemplateUpdate),
		Row: func(t *resourcev1.ResourceClaimTemplate) []any {
			return []any{t.Name, columns.Since(t.CreationTimestamp)}
		},
	})
}

func validateTemplateUpdate(t, old *resourcev1.ResourceClaimTemplate) field.ErrorList {
	var f validation.Findings
	f.MetaUpdate(&t.ObjectMeta, &old.ObjectMeta)
	if !equality.Semantic.DeepEqual(t.Spec, old.Spec) {
		f.Invalid(specPath, struct {
			metav1.ObjectMeta
			Spec any
		}{t.Spec.ObjectMeta, validation.Untagged(t.Spec.Spec)}, apivalidation.FieldImmutableErrorMsg)
	}
	return f.List()
}
