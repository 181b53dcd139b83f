package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics/legacyregistry"
	podsecurity "k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/admission/api/load"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"
)

// podSecurity holds pods to the Pod Security Standard that the labels of their
// namespace name. The library decides. Without labels it stops at them, and it
// lists pods only when a namespace gets a stricter level.
type podSecurity struct {
	*admission.Handler
	decide *podsecurity.Admission
}

// podSecurityMetrics are registered once in a process.
var podSecurityMetrics = sync.OnceValue(func() *metrics.PrometheusRecorder {
	r := metrics.NewPrometheusRecorder(api.GetAPIVersion())
	r.MustRegister(legacyregistry.MustRegister)
	return r
})

func newPodSecurity(o Options) (*podSecurity, error) {
	config, err := load.LoadFromData(nil)
	if err != nil {
		return nil, fmt.Errorf("pod security: %w", err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("pod security: %w", err)
	}
	namespaces := o.Informers.Core().V1().Namespaces()
	p := &podSecurity{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		decide: &podsecurity.Admission{
			Configuration:    config,
			Evaluator:        evaluator,
			Metrics:          podSecurityMetrics(),
			PodSpecExtractor: podsecurity.DefaultPodSpecExtractor{},
			NamespaceGetter:  podsecurity.NamespaceGetterFromListerAndClient(namespaces.Lister(), o.Client),
			PodLister:        podsecurity.PodListerFromClient(o.Client),
		},
	}
	p.SetReadyFunc(namespaces.Informer().HasSynced)
	if err := p.decide.CompleteConfiguration(); err != nil {
		return nil, fmt.Errorf("pod security: %w", err)
	}
	return p, p.decide.ValidateConfiguration()
}

// Validate implements admission.ValidationInterface.
func (p *podSecurity) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	r := a.GetResource().GroupResource()
	if r != corev1.Resource("namespaces") && !p.decide.PodSpecExtractor.HasPodSpec(r) {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errNotReady)
	}
	verdict := p.decide.Validate(ctx, podSecurityRequest{a})
	for _, w := range verdict.Warnings {
		warning.AddWarning(ctx, "", w)
	}
	if len(verdict.AuditAnnotations) > 0 {
		annotations := make(map[string]string, len(verdict.AuditAnnotations))
		for key, value := range verdict.AuditAnnotations {
			annotations[api.AuditAnnotationPrefix+key] = value
		}
		audit.AddAuditAnnotationsMap(ctx, annotations)
	}
	if verdict.Allowed {
		return nil
	}
	return refusal(a, verdict)
}

// refusal is the library's verdict as an answer to the request.
func refusal(a admission.Attributes, verdict *admissionv1.AdmissionResponse) error {
	err := admission.NewForbidden(a, errors.New("not allowed by PodSecurity"))
	var status *apierrors.StatusError
	if r := verdict.Result; r != nil && errors.As(err, &status) {
		if r.Message != "" {
			status.ErrStatus.Message = r.Message
		}
		if r.Reason != "" {
			status.ErrStatus.Reason = r.Reason
		}
		if r.Details != nil {
			status.ErrStatus.Details = r.Details
		}
		if r.Code != 0 {
			status.ErrStatus.Code = r.Code
		}
	}
	return err
}

// podSecurityRequest is a request as the library wants to see it.
type podSecurityRequest struct{ admission.Attributes }

// GetOperation implements api.Attributes.
func (r podSecurityRequest) GetOperation() admissionv1.Operation {
	return admissionv1.Operation(r.Attributes.GetOperation())
}

// GetObject implements api.Attributes.
func (r podSecurityRequest) GetObject() (runtime.Object, error) {
	return r.Attributes.GetObject(), nil
}

// GetOldObject implements api.Attributes.
func (r podSecurityRequest) GetOldObject() (runtime.Object, error) {
	return r.Attributes.GetOldObject(), nil
}

// GetUserName implements api.Attributes.
func (r podSecurityRequest) GetUserName() string {
	if user := r.GetUserInfo(); user != nil {
		return user.GetName()
	}
	return ""
}
