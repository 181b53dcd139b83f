package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/endpoints/request"

	"berth.dev/berth/internal/api/columns"
	"berth.dev/berth/internal/api/kind"
)

type signingRequest = certificatesv1.CertificateSigningRequest

var (
	requestDoc       = certificatesv1.CertificateSigningRequestSpec{}.SwaggerDoc()
	requestStatusDoc = certificatesv1.CertificateSigningRequestStatus{}.SwaggerDoc()
)

const signerNameField = "spec.signerName"

func signingRequestKind() kind.Kind {
	return kind.Declare(kind.Kind{
		GVK:        certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"),
		Resource:   "certificatesigningrequests",
		Singular:   "certificatesigningrequest",
		ShortNames: []string{"csr"},
		HasStatus:  true,
		Keeps:      []string{"spec"},
		StatusKeeps: []string{
			"status.conditions", // of those, Approved and Denied
		},
		Parts:                    []kind.Part{approval()},
		FieldNames:               []string{signerNameField},
		AllowUnconditionalUpdate: true,
		New:                      func() runtime.Object { return &signingRequest{} },
		NewList:                  func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		Columns: columns.Definitions{
			columns.Name(),
			columns.Age(),
			columns.Column("SignerName", "string", requestDoc["signerName"]),
			columns.Column("Requestor", "string", requestDoc["request"]),
			columns.Column("RequestedDuration", "string", requestDoc["expirationSeconds"]),
			columns.Column("Condition", "string", requestStatusDoc["conditions"]),
		},
	}, kind.Rules[*signingRequest]{
		PrepareCreate:        asked,
		PrepareUpdate:        func(_ context.Context, r, old *signingRequest) { r.Spec = old.Spec },
		PrepareStatusUpdate:  func(_ context.Context, r, old *signingRequest) { keepJudgement(r, old); timed(r, old) },
		Validate:             kind.Check(validateRequest),
		ValidateUpdate:       kind.CheckUpdate(validateRequestUpdate),
		ValidateStatusUpdate: kind.CheckUpdate(validateRequestStatus),
		CopySpec:             func(r, old *signingRequest) { r.Spec = old.Spec },
		CopyStatus:           func(r, old *signingRequest) { r.Status = old.Status },
		Fields:               func(r *signingRequest) fields.Set { return fields.Set{signerNameField: r.Spec.SignerName} },
		Row:                  requestRow,
	})
}

// approval is the subresource through which a request is approved or denied.
func approval() kind.Part {
	p := kind.PartOf("approval", func(r, old *signingRequest) {
		timed(r, old)
		conditions := r.Status.Conditions
		r.Spec, r.Status = old.Spec, old.Status
		r.Status.Conditions = conditions
	}, validateRequestApproval)
	p.Keeps = []string{"spec", "status.certificate"}
	return p
}

// asked writes down who asks: the server knows, the client may not say.
func asked(ctx context.Context, r *signingRequest) {
	r.Spec.Username, r.Spec.UID, r.Spec.Groups, r.Spec.Extra = "", "", nil, nil
	if who, ok := request.UserFrom(ctx); ok {
		r.Spec.Username, r.Spec.UID, r.Spec.Groups = who.GetName(), who.GetUID(), who.GetGroups()
		if extra := who.GetExtra(); len(extra) > 0 {
			r.Spec.Extra = map[string]certificatesv1.ExtraValue{}
			for key, values := range maps.All(extra) {
				r.Spec.Extra[key] = values
			}
		}
	}
	r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{}
}

// keepJudgement undoes changes of what only the approval may change. Added and
// removed conditions are left for validation to refuse.
func keepJudgement(r, old *signingRequest) {
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		is, was := places(r, t), places(old, t)
		if len(is) != len(was) {
			continue
		}
		for i := range is {
			r.Status.Conditions[is[i]] = old.Status.Conditions[was[i]]
		}
	}
}

// places are the indexes of the conditions of type t.
func places(r *signingRequest, t certificatesv1.RequestConditionType) []int {
	var out []int
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == t {
			out = append(out, i)
		}
	}
	return out
}

// timed fills in when conditions were updated and when they came to be.
func timed(r, old *signingRequest) {
	now := metav1.Now()
	for i := range r.Status.Conditions {
		c := &r.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = now
		}
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

// ParseRequest reads the request in PEM of a CertificateSigningRequest.
func ParseRequest(text []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

func requestRow(r *signingRequest) []any {
	lasting := columns.None
	if s := r.Spec.ExpirationSeconds; s != nil {
		lasting = duration.HumanDuration(time.Duration(*s) * time.Second)
	}
	return []any{
		r.Name, columns.Since(r.CreationTimestamp), columns.Or(r.Spec.SignerName, columns.None),
		r.Spec.Username, lasting, requestState(r),
	}
}

func requestState(r *signingRequest) string {
	state := "Pending"
	switch {
	case len(places(r, certificatesv1.CertificateDenied)) > 0:
		state = "Denied"
	case len(places(r, certificatesv1.CertificateApproved)) > 0:
		state = "Approved"
	}
	if len(places(r, certificatesv1.CertificateFailed)) > 0 {
		state += ",Failed"
	}
	if len(r.Status.Certificate) > 0 {
		state += ",Issued"
	}
	return state
}
