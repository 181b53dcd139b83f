package v2beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every type in this package.
const GroupName = "spiderpool.spidernet.io"

// Finalizer keeps an object that others depend on.
const Finalizer = GroupName

// SchemeGroupVersion is the group and version of every type in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v2beta1"}

// Resource gives the group resource of a plural name in this group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

// AddToScheme makes the types of this package known to s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion, Types()...)
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}

// Types gives one new object of each type of the group.
func Types() []runtime.Object {
	return []runtime.Object{
		&SpiderIPPool{},
		&SpiderIPPoolList{},
		&SpiderEndpoint{},
		&SpiderEndpointList{},
		&SpiderReservedIP{},
		&SpiderReservedIPList{},
		&SpiderSubnet{},
		&SpiderSubnetList{},
		&SpiderMultusConfig{},
		&SpiderMultusConfigList{},
		&SpiderCoordinator{},
		&SpiderCoordinatorList{},
	}
}
