package apiserver

import (
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// poolObjects are the stored address pools and what goes with them.
type poolObjects struct{ *groups }

func (o poolObjects) list(resource string) (runtime.Object, error) {
	m := o.mains[resource+"."+spiderpoolv2beta1.GroupName]
	if m == nil {
		return nil, nil
	}
	return m.List(clusterWide(), &metainternalversion.ListOptions{})
}

// Pools implements addresspool.Objects.
func (o poolObjects) Pools() ([]spiderpoolv2beta1.SpiderIPPool, error) {
	list, err := o.list("spiderippools")
	if list, ok := list.(*spiderpoolv2beta1.SpiderIPPoolList); ok {
		return list.Items, err
	}
	return nil, err
}

// Subnets implements addresspool.Objects.
func (o poolObjects) Subnets() ([]spiderpoolv2beta1.SpiderSubnet, error) {
	list, err := o.list("spidersubnets")
	if list, ok := list.(*spiderpoolv2beta1.SpiderSubnetList); ok {
		return list.Items, err
	}
	return nil, err
}

// Endpoints implements addresspool.Objects.
func (o poolObjects) Endpoints() ([]spiderpoolv2beta1.SpiderEndpoint, error) {
	list, err := o.list("spiderendpoints")
	if list, ok := list.(*spiderpoolv2beta1.SpiderEndpointList); ok {
		return list.Items, err
	}
	return nil, err
}
