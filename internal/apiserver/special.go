package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/presence"
	"berth.dev/berth/internal/apiserver/registry"
	"berth.dev/berth/internal/apiserver/registry/addresspool"
	"berth.dev/berth/internal/apiserver/registry/componentstatus"
	"berth.dev/berth/internal/apiserver/registry/namespace"
	"berth.dev/berth/internal/apiserver/registry/service"
	"berth.dev/berth/internal/apiserver/registry/serviceaccount"
	"berth.dev/berth/internal/apiserver/registry/usage"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// main builds the main endpoint of k with what no declaration can express.
func (g *groups) main(k api.Kind, getter generic.RESTOptionsGetter) (*registry.Main, error) {
	k = g.guarded(k)
	if mark := g.server.parts.Presence.Mark(schema.GroupResource{Group: k.GVK.Group, Resource: k.Resource}); mark != nil {
		return g.announced(k, getter, mark)
	}
	switch k.GVK.GroupKind().String() {
	case "Namespace":
		return registry.NewMain(k, getter, namespace.Tune)
	case "Service":
		return g.services(k, getter)
	case "SpiderIPPool.spiderpool.spidernet.io":
		return registry.NewMain(k, getter, g.pools().TunePools)
	case "SpiderSubnet.spiderpool.spidernet.io":
		return registry.NewMain(k, getter, g.pools().TuneSubnets)
	}
	return registry.NewMain(k, getter)
}

// pools is the guard of address pools and subnets.
func (g *groups) pools() *addresspool.Guard {
	if g.guard == nil {
		g.guard = addresspool.New(poolObjects{g}, g.server.config.Datastore.Turns("addresspools"), g.server.config.ServiceCIDRs)
	}
	return g.guard
}

// announced serves a kind whose first object somebody waits for. It is watched
// from the start: objects that were stored before raise the mark now, those
// that another server makes raise it later.
func (g *groups) announced(k api.Kind, getter generic.RESTOptionsGetter, mark *presence.Mark) (*registry.Main, error) {
	m, err := registry.NewMain(k, getter, registry.Announce(mark))
	if err != nil {
		return nil, err
	}
	g.server.repair = append(g.server.repair, func(ctx context.Context) error {
		w, err := m.Watch(request.WithNamespace(ctx, metav1.NamespaceAll), &metainternalversion.ListOptions{})
		if err != nil {
			return fmt.Errorf("looking for %s: %w", k.Resource, err)
		}
		w.Stop()
		return nil
	})
	return m, nil
}

// special adds the endpoints that belong to no declared kind alone.
func (g *groups) special(at func(schema.GroupVersion) endpoints) error {
	core := at(corev1.SchemeGroupVersion)
	for _, resource := range []string{"spiderippools", "spidersubnets"} {
		if m := g.mains[resource+"."+spiderpoolv2beta1.GroupName]; m != nil {
			at(spiderpoolv2beta1.SchemeGroupVersion)[resource] = addresspool.Endpoint{Main: m}
		}
	}
	if m := g.mains["namespaces"]; m != nil {
		core["namespaces"] = namespace.New(m)
		core["namespaces/finalize"] = namespace.NewFinalize(m)
	}
	core["componentstatuses"] = g.components()
	if err := g.pods(core); err != nil {
		return err
	}
	accounts, pods, secrets, nodes := g.mains["serviceaccounts"], g.mains["pods"], g.mains["secrets"], g.mains["nodes"]
	if minter := g.server.config.Tokens; minter != nil && accounts != nil && pods != nil && secrets != nil && nodes != nil {
		core["serviceaccounts/token"] = serviceaccount.NewToken(
			serviceaccount.Getters{Accounts: accounts, Pods: pods, Secrets: secrets, Nodes: nodes}, minter)
	}
	if g.agents != nil && pods != nil && nodes != nil {
		sampler := usage.NewSampler(g.agents.Usage, clock.RealClock{})
		metrics := at(metricsv1beta1.SchemeGroupVersion)
		metrics["nodes"], metrics["pods"] = usage.NewNodes(nodes, sampler), usage.NewPods(pods, sampler)
	}
	return nil
}

// components are the parts of the control plane as kubectl get componentstatuses
// names them. The scheduler and the controllers live and die with this process.
func (g *groups) components() *componentstatus.REST {
	here := func(context.Context) error { return nil }
	return componentstatus.New(
		componentstatus.Component{Name: "scheduler", Check: here},
		componentstatus.Component{Name: "controller-manager", Check: here},
		componentstatus.Component{Name: "etcd-0", Check: g.server.config.Datastore.Check},
	)
}

// services serves Services, whose addresses and ports are read back before
// the first request.
func (g *groups) services(k api.Kind, getter generic.RESTOptionsGetter) (*registry.Main, error) {
	allocator, err := service.NewAllocator(g.server.config.ServiceCIDRs, g.server.config.ServiceNodePortRange, serviceObjects{g})
	if err != nil {
		return nil, fmt.Errorf("apiserver: %w", err)
	}
	m, err := registry.NewMain(k, getter, allocator.Tune(g.deleteEndpoints))
	if err != nil {
		return nil, err
	}
	g.server.repair = append(g.server.repair, func(ctx context.Context) error {
		obj, err := m.List(request.WithNamespace(ctx, metav1.NamespaceAll), &metainternalversion.ListOptions{})
		if err != nil {
			return fmt.Errorf("reading back the addresses of services: %w", err)
		}
		g.server.problems = allocator.Repair(obj.(*corev1.ServiceList))
		return nil
	})
	return m, nil
}

// deleteEndpoints removes the Endpoints of a deleted Service, which may be the
// user's own.
func (g *groups) deleteEndpoints(ns, name string) {
	m := g.mains["endpoints"]
	if m == nil {
		return
	}
	ctx := request.WithNamespace(request.NewContext(), ns)
	_, _, err := m.Delete(ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		klog.ErrorS(err, "Deleting the endpoints of a deleted service", "service", klog.KRef(ns, name))
	}
}
