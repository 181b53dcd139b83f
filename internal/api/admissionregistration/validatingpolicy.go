package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func validatingPolicyKind() kind.Kind {
	type object = *admissionregistrationv1.ValidatingAdmissionPolicy
	return kind.Declare(kind.Kind{
		GVK:           admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy"),
		Resource:      "validatingadmissionpolicies",
		Singular:      "validatingadmissionpolicy",
		Categories:    []string{"api-extensions"},
		HasStatus:     true,
		HasGeneration: true,
		Columns:       columns.ValidatingPolicy,
		New:           func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicy{} },
		NewList:       func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyList{} },
	}, kind.Rules[object]{
		Default:              defaultValidatingPolicy,
		Validate:             kind.Check(checkValidatingPolicy),
		ValidateUpdate:       kind.CheckUpdate(checkValidatingPolicyUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(checkValidatingPolicyStatus),
		Warnings:             warnReserved[object],
		CopySpec:             func(o, old object) { o.Spec = old.Spec },
		CopyStatus:           func(o, old object) { o.Status = old.Status },
		Row: func(o object) []any {
			return columns.PolicyRow(&o.ObjectMeta, len(o.Spec.Validations), o.Spec.ParamKind)
		},
	})
}

func validatingBindingKind() kind.Kind {
	type object = *admissionregistrationv1.ValidatingAdmissionPolicyBinding
	return kind.Declare(kind.Kind{
		GVK:           admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicyBinding"),
		Resource:      "validatingadmissionpolicybindings",
		Singular:      "validatingadmissionpolicybinding",
		Categories:    []string{"api-extensions"},
		HasGeneration: true,
		Columns:       columns.PolicyBinding,
		New:           func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{} },
		NewList:       func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{} },
	}, kind.Rules[object]{
		Default:        func(o object) { defaultMatchResources(o.Spec.MatchResources) },
		Validate:       kind.Check(checkNewValidatingBinding),
		ValidateUpdate: kind.CheckUpdate(func(o, _ object) fieldErrors { return checkValidatingBinding(o) }),
		Warnings:       warnReserved[object],
		CopySpec:       func(o, old object) { o.Spec = old.Spec },
		Row: func(o object) []any {
			return columns.PolicyBindingRow(&o.ObjectMeta, o.Spec.PolicyName, o.Spec.ParamRef)
		},
	})
}
