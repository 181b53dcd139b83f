package api

import (
	"reflect"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

var (
	// Scheme knows every served type, its defaults and field labels. The
	// internal version of a type is the type itself, registered a second time,
	// so that converting between versions copies nothing.
	Scheme = newScheme()
	// Codecs are the serializers of Scheme: JSON, YAML and protobuf.
	Codecs = serializer.NewCodecFactory(Scheme)
	// ParameterCodec reads query parameters into options types.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

// groups are the API groups in the order of discovery.
var groups = []struct {
	version schema.GroupVersion
	add     func(*runtime.Scheme) error
}{
	{corev1.SchemeGroupVersion, corev1.AddToScheme},
	{appsv1.SchemeGroupVersion, appsv1.AddToScheme},
	{eventsv1.SchemeGroupVersion, eventsv1.AddToScheme},
	{authenticationv1.SchemeGroupVersion, authenticationv1.AddToScheme},
	{authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme},
	{autoscalingv1.SchemeGroupVersion, autoscalingv1.AddToScheme},
	{policyv1.SchemeGroupVersion, policyv1.AddToScheme},
	{rbacv1.SchemeGroupVersion, rbacv1.AddToScheme},
	{storagev1.SchemeGroupVersion, storagev1.AddToScheme},
	{admissionregistrationv1.SchemeGroupVersion, admissionregistrationv1.AddToScheme},
	{schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme},
	{coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme},
	{discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme},
	{spiderpoolv2beta1.SchemeGroupVersion, spiderpoolv2beta1.AddToScheme},
}

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, g := range groups {
		utilruntime.Must(g.add(s))
		if g.version == eventsv1.SchemeGroupVersion {
			utilruntime.Must(addEvents(s))
		} else {
			addInternal(s, g.version)
		}
		utilruntime.Must(s.SetVersionPriority(g.version))
	}
	for _, k := range Kinds() {
		if k.Default != nil {
			s.AddTypeDefaultingFunc(k.New(), func(o any) { k.Default(o.(runtime.Object)) })
		}
		utilruntime.Must(s.AddFieldLabelConversionFunc(k.GVK, k.convertFieldLabel))
	}
	utilruntime.Must(addOptionConversions(s))
	return s
}

// addInternal registers the types of gv once more as the group's internal
// version. The types that every group shares have a registration of their own.
func addInternal(s *runtime.Scheme, gv schema.GroupVersion) {
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, t := range s.KnownTypes(gv) {
		if strings.HasPrefix(t.PkgPath(), "k8s.io/apimachinery/") {
			continue
		}
		s.AddKnownTypeWithName(internal.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
	}
}
