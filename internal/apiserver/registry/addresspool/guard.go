package addresspool

import (
	"context"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Objects is what there is.
type Objects interface {
	Pools() ([]spiderpoolv2beta1.SpiderIPPool, error)
	Subnets() ([]spiderpoolv2beta1.SpiderSubnet, error)
	Endpoints() ([]spiderpoolv2beta1.SpiderEndpoint, error)
}

// Turns lets a change be stored only if none was on any server since it took its turn.
type Turns interface {
	Take(ctx context.Context) error
}

// Guard checks one change at a time.
type Guard struct {
	objects  Objects
	turns    Turns
	services []netip.Prefix
	mu       sync.Mutex
}

// New returns a guard over objects; services are ranges that no pool may touch.
func New(objects Objects, turns Turns, services []netip.Prefix) *Guard {
	return &Guard{objects: objects, turns: turns, services: services}
}

// TunePools makes a store of SpiderIPPools ask the guard.
func (g *Guard) TunePools(s *genericregistry.Store, _ *generic.StoreOptions) {
	s.BeginCreate = func(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		pool := obj.(*spiderpoolv2beta1.SpiderIPPool)
		return g.hold(ctx, "SpiderIPPool", pool.Name, func() (field.ErrorList, error) { return g.newPool(pool) })
	}
	s.BeginUpdate = func(ctx context.Context, obj, old runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		pool, was := obj.(*spiderpoolv2beta1.SpiderIPPool), old.(*spiderpoolv2beta1.SpiderIPPool)
		if equality.Semantic.DeepEqual(pool.Spec, was.Spec) {
			return ignore, nil
		}
		return g.hold(ctx, "SpiderIPPool", pool.Name, func() (field.ErrorList, error) { return g.changedPool(pool, was) })
	}
}

// TuneSubnets makes a store of SpiderSubnets ask the guard.
func (g *Guard) TuneSubnets(s *genericregistry.Store, _ *generic.StoreOptions) {
	s.BeginCreate = func(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		subnet := obj.(*spiderpoolv2beta1.SpiderSubnet)
		return g.hold(ctx, "SpiderSubnet", subnet.Name, func() (field.ErrorList, error) { return g.subnet(subnet) })
	}
	s.BeginUpdate = func(ctx context.Context, obj, old runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		subnet, was := obj.(*spiderpoolv2beta1.SpiderSubnet), old.(*spiderpoolv2beta1.SpiderSubnet)
		if equality.Semantic.DeepEqual(subnet.Spec, was.Spec) {
			return ignore, nil
		}
		return g.hold(ctx, "SpiderSubnet", subnet.Name, func() (field.ErrorList, error) { return g.subnet(subnet) })
	}
}

func ignore(context.Context, bool) {}

// hold checks, and lets nobody else check until the object is stored; what
// another server stores meanwhile has the object refused by the datastore.
func (g *Guard) hold(ctx context.Context, kind, name string, check func() (field.ErrorList, error)) (genericregistry.FinishFunc, error) {
	g.mu.Lock()
	err := g.turns.Take(ctx)
	var problems field.ErrorList
	if err == nil {
		problems, err = check()
	}
	if err == nil && len(problems) > 0 {
		err = apierrors.NewInvalid(spiderpoolv2beta1.SchemeGroupVersion.WithKind(kind).GroupKind(), name, problems)
	}
	if err != nil {
		g.mu.Unlock()
		return nil, err
	}
	return func(context.Context, bool) { g.mu.Unlock() }, nil
}
