package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func mutatingPolicyKind() kind.Kind {
	type object = *admissionregistrationv1.MutatingAdmissionPolicy
	return kind.Declare(kind.Kind{
		GVK:           admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy"),
		Resource:      "mutatingadmissionpolicies",
		Singular:      "mutatingadmissionpolicy",
		Categories:    []string{"api-extensions"},
		HasGeneration: true,
		Columns:       columns.MutatingPolicy,
		New:           func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicy{} },
		NewList:       func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyList{} },
	}, kind.Rules[object]{
		Default:        defaultMutatingPolicy,
		Validate:       kind.Check(checkMutatingPolicy),
		ValidateUpdate: kind.CheckUpdate(checkMutatingPolicyUpdate),
		Warnings:       warnReserved[object],
		CopySpec:       func(o, old object) { o.Spec = old.Spec },
		Row: func(o object) []any {
			return columns.PolicyRow(&o.ObjectMeta, len(o.Spec.Mutations), o.Spec.ParamKind)
		},
	})
}

func mutatingBindingKind() kind.Kind {
	type object = *admissionregistrationv1.MutatingAdmissionPolicyBinding
	return kind.Declare(kind.Kind{
		GVK:           admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicyBinding"),
		Resource:      "mutatingadmissionpolicybindings",
		Singular:      "mutatingadmissionpolicybinding",
		Categories:    []string{"api-extensions"},
		HasGeneration: true,
		Columns:       columns.PolicyBinding,
		New:           func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyBinding{} },
		NewList:       func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyBindingList{} },
	}, kind.Rules[object]{
		Default:        func(o object) { defaultMatchResources(o.Spec.MatchResources) },
		Validate:       kind.Check(checkNewMutatingBinding),
		ValidateUpdate: kind.CheckUpdate(func(o, _ object) fieldErrors { return checkMutatingBinding(o) }),
		Warnings:       warnReserved[object],
		CopySpec:       func(o, old object) { o.Spec = old.Spec },
		Row: func(o object) []any {
			return columns.PolicyBindingRow(&o.ObjectMeta, o.Spec.PolicyName, o.Spec.ParamRef)
		},
	})
}
