package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

func validatingWebhookKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"),
		Resource:      "validatingwebhookconfigurations",
		Singular:      "validatingwebhookconfiguration",
		Categories:    []string{"api-extensions"},
		HasGeneration: true,
		Columns:       columns.WebhookConfiguration,
		New:           func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
		NewList:       func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfigurationList{} },
	}, kind.Rules[*admissionregistrationv1.ValidatingWebhookConfiguration]{
		Default:        defaultValidatingWebhooks,
		Validate:       kind.Check(checkValidatingWebhooks),
		ValidateUpdate: kind.CheckUpdate(checkValidatingWebhooksUpdate),
		Warnings:       warnReserved[*admissionregistrationv1.ValidatingWebhookConfiguration],
		CopySpec: func(o, old *admissionregistrationv1.ValidatingWebhookConfiguration) {
			o.Webhooks = old.Webhooks
		},
		Row: func(o *admissionregistrationv1.ValidatingWebhookConfiguration) []any {
			return columns.WebhookConfigurationRow(&o.ObjectMeta, len(o.Webhooks))
		},
	})
}

func mutatingWebhookKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:           admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"),
		Resource:      "mutatingwebhookconfigurations",
		Singular:      "mutatingwebhookconfiguration",
		Categories:    []string{"api-extensions"},
		HasGeneration: true,
		Columns:       columns.WebhookConfiguration,
		New:           func() runtime.Object { return &admissionregistrationv1.MutatingWebhookConfiguration{} },
		NewList:       func() runtime.Object { return &admissionregistrationv1.MutatingWebhookConfigurationList{} },
	}, kind.Rules[*admissionregistrationv1.MutatingWebhookConfiguration]{
		Default:        defaultMutatingWebhooks,
		Validate:       kind.Check(checkMutatingWebhooks),
		ValidateUpdate: kind.CheckUpdate(checkMutatingWebhooksUpdate),
		Warnings:       warnReserved[*admissionregistrationv1.MutatingWebhookConfiguration],
		CopySpec: func(o, old *admissionregistrationv1.MutatingWebhookConfiguration) {
			o.Webhooks = old.Webhooks
		},
		Row: func(o *admissionregistrationv1.MutatingWebhookConfiguration) []any {
			return columns.WebhookConfigurationRow(&o.ObjectMeta, len(o.Webhooks))
		},
	})
}
