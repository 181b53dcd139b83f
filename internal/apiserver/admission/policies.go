package admission

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
)

func newMutatingPolicies(o Options) *deferred {
	operations := []admission.Operation{admission.Create, admission.Update, admission.Connect}
	return newDeferred(o, mutating.PluginName, admissionregistrationv1.Resource("mutatingadmissionpolicies"), operations,
		func(o Options) (admission.Interface, error) {
			p, err := mutating.NewPlugin(nil)
			if err != nil {
				return nil, err
			}
			p.SetEnabled(true)
			client, known := newSchemaClient(o.Client)
			o.Client = client
			return withSchemas{p, known}, initializePolicies(o, p)
		})
}

func newValidatingPolicies(o Options) *deferred {
	return newDeferred(o, validating.PluginName, admissionregistrationv1.Resource("validatingadmissionpolicies"), allOperations,
		func(o Options) (admission.Interface, error) {
			p, err := validating.NewPlugin(nil)
			if err != nil {
				return nil, err
			}
			return p, initializePolicies(o, p)
		})
}

// policyPlugin is what both plugins of the library want to be told.
type policyPlugin interface {
	initializer.WantsDrainedNotification
	initializer.WantsExternalKubeClientSet
	initializer.WantsExternalKubeInformerFactory
	initializer.WantsDynamicClient
	initializer.WantsRESTMapper
	initializer.WantsUnconditionalAuthorizer
	initializer.WantsExcludedAdmissionResources
	admission.InitializationValidator
}

func initializePolicies(o Options, p policyPlugin) error {
	objects, err := dynamic.NewForConfig(o.Config)
	if err != nil {
		return err
	}
	p.SetDrainedNotification(o.Stopped)
	p.SetExternalKubeClientSet(o.Client)
	p.SetExternalKubeInformerFactory(ownParameters{o.Informers})
	p.SetDynamicClient(objects)
	p.SetRESTMapper(newFreshMapper(o.Client))
	p.SetUnconditionalAuthorizer(o.Authorizer)
	p.SetExcludedAdmissionResources(reviews)
	return p.ValidateInitialization()
}

// ownParameters makes a policy watch its parameters itself: the server's own
// informers drop what the server does not read, and would end with the first
// policy that no longer wants theirs.
type ownParameters struct {
	informers.SharedInformerFactory
}

// ForResource implements informers.SharedInformerFactory.
func (ownParameters) ForResource(r schema.GroupVersionResource) (informers.GenericInformer, error) {
	return nil, fmt.Errorf("%s are not shared", r.Resource)
}

// freshMapper finds the resource of a kind, and asks discovery again before it
// says that there is none: the kind may be a custom one that is new.
type freshMapper struct {
	*restmapper.DeferredDiscoveryRESTMapper
}

func newFreshMapper(client kubernetes.Interface) freshMapper {
	return freshMapper{restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))}
}

// RESTMapping implements meta.RESTMapper.
func (m freshMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	found, err := m.DeferredDiscoveryRESTMapper.RESTMapping(kind, versions...)
	if !meta.IsNoMatchError(err) {
		return found, err
	}
	m.Reset()
	return m.DeferredDiscoveryRESTMapper.RESTMapping(kind, versions...)
}
