// Package admissionregistration declares the kinds of admissionregistration.k8s.io, one file each.
package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"berth.dev/berth/internal/api/kind"
)

// Group is admissionregistration.k8s.io.
func Group() kind.Group {
	return kind.Group{
		Versions: []kind.Version{{GroupVersion: admissionregistrationv1.SchemeGroupVersion, Add: admissionregistrationv1.AddToScheme}},
		Kinds: []kind.Kind{
			mutatingPolicyKind(),
			mutatingBindingKind(),
			mutatingWebhookKind(),
			validatingPolicyKind(),
			validatingBindingKind(),
			validatingWebhookKind(),
		},
	}
}
