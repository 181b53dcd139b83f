package certificates

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

type podRequest = certificatesv1.PodCertificateRequest

var podRequestDoc = certificatesv1.PodCertificateRequestSpec{}.SwaggerDoc()

func podRequestKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:         certificatesv1.SchemeGroupVersion.WithKind("PodCertificateRequest"),
		Resource:    "podcertificaterequests",
		Singular:    "podcertificaterequest",
		Namespaced:  true,
		HasStatus:   true,
		StatusKeeps: []string{"metadata"},
		FieldNames:  []string{signerNameField, "spec.podName", "spec.nodeName"},
		New:         func() runtime.Object { return &podRequest{} },
		NewList:     func() runtime.Object { return &certificatesv1.PodCertificateRequestList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Column("PodName", "string", podRequestDoc["podName"]),
			columns.Column("ServiceAccountName", "string", podRequestDoc["serviceAccountName"]),
			columns.Column("NodeName", "string", podRequestDoc["nodeName"]),
			columns.Column("SignerName", "string", podRequestDoc["signerName"]),
			columns.Column("State", "string", "Is the request Pending, Issued, Denied, or Failed?"),
		},
	}, kind.Rules[*podRequest]{
		Default: func(r *podRequest) {
			if r.Spec.MaxExpirationSeconds == nil {
				r.Spec.MaxExpirationSeconds = ptr.To[int32](86400)
			}
		},
		PrepareStatusUpdate:  func(_ context.Context, r, old *podRequest) { settled(r, old) },
		Validate:             kind.Check(validatePodRequest),
		ValidateUpdate:       kind.CheckUpdate(validatePodRequestUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validatePodRequestStatus),
		CopySpec:             func(r, old *podRequest) { r.Spec = old.Spec },
		CopyStatus:           func(r, old *podRequest) { r.Status = old.Status },
		Fields: func(r *podRequest) fields.Set {
			return fields.Set{signerNameField: r.Spec.SignerName, "spec.podName": r.Spec.PodName, "spec.nodeName": string(r.Spec.NodeName)}
		},
		Row: func(r *podRequest) []any {
			return []any{r.Name, r.Spec.PodName, r.Spec.ServiceAccountName, string(r.Spec.NodeName), r.Spec.SignerName, outcome(r)}
		},
	})
}

// final are the conditions that end a request.
func final(condition string) bool {
	switch condition {
	case certificatesv1.PodCertificateRequestConditionTypeIssued, certificatesv1.PodCertificateRequestConditionTypeDenied,
		certificatesv1.PodCertificateRequestConditionTypeFailed:
		return true
	}
	return false
}

// outcome is the condition that ended a request.
func outcome(r *podRequest) string {
	for _, c := range r.Status.Conditions {
		if final(c.Type) && c.Status == metav1.ConditionTrue {
			return c.Type
		}
	}
	return "Pending"
}

// settled keeps final conditions as they are, and says since when there are others.
func settled(r, old *podRequest) {
	for _, t := range []string{
		certificatesv1.PodCertificateRequestConditionTypeIssued, certificatesv1.PodCertificateRequestConditionTypeDenied,
		certificatesv1.PodCertificateRequestConditionTypeFailed,
	} {
		is, was := indexes(r, t), indexes(old, t)
		for i := range is {
			if len(is) == len(was) {
				r.Status.Conditions[is[i]] = old.Status.Conditions[was[i]]
			}
		}
	}
	now := metav1.Now()
	for i := range r.Status.Conditions {
		c := &r.Status.Conditions[i]
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = now
		for _, was := range old.Status.Conditions {
			if was.Type == c.Type && was.Status == c.Status && !was.LastTransitionTime.IsZero() {
				c.LastTransitionTime = was.LastTransitionTime
				break
			}
		}
	}
}

func indexes(r *podRequest, t string) []int {
	var out []int
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == t {
			out = append(out, i)
		}
	}
	return out
}
