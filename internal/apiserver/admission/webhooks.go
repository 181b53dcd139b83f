package admission

import (
	"go.opentelemetry.io/otel/trace/noop"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/webhook"
)

var allOperations = []admission.Operation{admission.Create, admission.Update, admission.Delete, admission.Connect}

func newMutatingWebhooks(o Options) *deferred {
	return newDeferred(o, mutating.PluginName, admissionregistrationv1.Resource("mutatingwebhookconfigurations"), allOperations,
		func(o Options) (admission.Interface, error) {
			p, err := mutating.NewMutatingWebhook(nil)
			if err != nil {
				return nil, err
			}
			return p, initializeWebhooks(o, p)
		})
}

func newValidatingWebhooks(o Options) *deferred {
	return newDeferred(o, validating.PluginName, admissionregistrationv1.Resource("validatingwebhookconfigurations"), allOperations,
		func(o Options) (admission.Interface, error) {
			p, err := validating.NewValidatingAdmissionWebhook(nil)
			if err != nil {
				return nil, err
			}
			return p, initializeWebhooks(o, p)
		})
}

// webhookPlugin is what both plugins of the library want to be told.
type webhookPlugin interface {
	initializer.WantsDrainedNotification
	initializer.WantsFeatures
	initializer.WantsExternalKubeClientSet
	initializer.WantsExternalKubeInformerFactory
	initializer.WantsUnconditionalAuthorizer
	initializer.WantsExcludedAdmissionResources
	webhookinit.WantsServiceResolver
	webhookinit.WantsAuthenticationInfoResolverWrapper
}

func initializeWebhooks(o Options, p webhookPlugin) error {
	p.SetDrainedNotification(o.Stopped)
	p.InspectFeatureGates(utilfeature.DefaultFeatureGate)
	p.SetExternalKubeClientSet(o.Client)
	p.SetExternalKubeInformerFactory(o.Informers)
	p.SetUnconditionalAuthorizer(o.Authorizer)
	p.SetExcludedAdmissionResources(reviews)
	p.SetServiceResolver(o.Services)
	p.SetAuthenticationInfoResolverWrapper(webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, o.Config, noop.NewTracerProvider()))
	return p.ValidateInitialization()
}

// reviews are never subject to webhooks and policies: one that fails could
// lock everybody out.
var reviews = []schema.GroupResource{
	{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"},
	{Group: "authentication.k8s.io", Resource: "tokenreviews"},
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"},
	{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"},
	{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"},
	{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
}
