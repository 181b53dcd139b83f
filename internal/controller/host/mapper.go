package host

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"berth.dev/berth/internal/api"
	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// clientScheme knows every built-in kind and our own.
func clientScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	utilruntime.Must(apiregistrationv1.AddToScheme(s))
	utilruntime.Must(spiderpoolv2beta1.AddToScheme(s))
	utilruntime.Must(cniv1.AddToScheme(s))
	utilruntime.Must(snapshotv1.AddToScheme(s))
	return s
}

// clusterScoped are the kinds without a namespace among all that a scheme may hold.
var clusterScoped = sets.New(
	"Namespace", "Node", "PersistentVolume", "ComponentStatus",
	"StorageClass", "VolumeAttachment", "CSINode", "CSIDriver", "VolumeAttributesClass",
	"ClusterRole", "ClusterRoleBinding", "PriorityClass", "RuntimeClass", "IngressClass",
	"CustomResourceDefinition", "APIService",
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
	"FlowSchema", "PriorityLevelConfiguration", "CertificateSigningRequest", "ClusterTrustBundle",
	"TokenReview", "SubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SelfSubjectReview",
	"DeviceClass", "ResourceSlice", "IPAddress", "ServiceCIDR", "StorageVersion", "StorageVersionMigration",
	"SpiderIPPool", "SpiderSubnet", "SpiderReservedIP", "SpiderCoordinator",
	"VolumeSnapshotClass", "VolumeSnapshotContent",
)

// staticMapper answers from the scheme and the declared kinds alone, so that a
// loop can start before discovery is served.
func staticMapper(scheme *runtime.Scheme) meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups())
	for gvk := range scheme.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal || strings.HasSuffix(gvk.Kind, "List") || strings.HasSuffix(gvk.Kind, "Options") {
			continue
		}
		scope := meta.RESTScopeNamespace
		if clusterScoped.Has(gvk.Kind) {
			scope = meta.RESTScopeRoot
		}
		mapper.Add(gvk, scope)
	}
	for _, k := range api.Kinds() { // of groups that client-go does not know, too
		scope := meta.RESTScopeNamespace
		if !k.Namespaced {
			scope = meta.RESTScopeRoot
		}
		mapper.AddSpecific(k.GVK, k.GVK.GroupVersion().WithResource(k.Resource), k.GVK.GroupVersion().WithResource(k.Singular), scope)
	}
	// Served by a library of its own, which brings its own scheme.
	crd := schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}
	mapper.AddSpecific(crd.WithKind("CustomResourceDefinition"), crd.WithResource("customresourcedefinitions"),
		crd.WithResource("customresourcedefinition"), meta.RESTScopeRoot)
	return mapper
}
