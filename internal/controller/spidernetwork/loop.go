// Package spidernetwork keeps what Spiderpool's own controller keeps: the
// NetworkAttachmentDefinition of each SpiderMultusConfig, what a SpiderSubnet
// says about its pools, and what a SpiderCoordinator says about the cluster. It
// lets go of subnets that no pool needs and of coordinators.
package spidernetwork

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

const (
	subnetKey      = "subnet/"
	coordinatorKey = "coordinator/"
)

// Config says what the cluster's ranges are.
type Config struct {
	ClusterCIDRs []netip.Prefix
	ServiceCIDRs []netip.Prefix
}

// Loop returns the loop. Its keys: namespace / name of a SpiderMultusConfig, and
// without a namespace "subnet/NAME" and "coordinator/NAME".
func Loop(config Config) loop.Loop {
	return loop.Loop{
		Name: "spider-network",
		User: "system:serviceaccount:kube-system:spider-network-controller",
		Watches: []loop.Watch{
			{Kind: &spiderpoolv2beta1.SpiderMultusConfig{}, Map: onConfig},
			{Kind: &cniv1.NetworkAttachmentDefinition{}, Map: onDefinition},
			{Kind: &spiderpoolv2beta1.SpiderSubnet{}, Map: on(subnetKey)},
			{Kind: &spiderpoolv2beta1.SpiderIPPool{}, Map: onPool},
			{Kind: &spiderpoolv2beta1.SpiderCoordinator{}, Map: on(coordinatorKey)},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &controller{env: env, config: config} },
	}
}

type controller struct {
	env    loop.Env
	config Config
}

// Reconcile brings one object up to date.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if name, ok := strings.CutPrefix(req.Name, subnetKey); ok {
		return reconcile.Result{}, c.subnet(ctx, name)
	}
	if name, ok := strings.CutPrefix(req.Name, coordinatorKey); ok {
		return reconcile.Result{}, c.coordinator(ctx, name)
	}
	return reconcile.Result{}, c.definition(ctx, req.NamespacedName)
}

func onConfig(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil {
		return nil // its definition goes with it
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.New)}}
}

// onDefinition wakes the owner of a definition that somebody changed or deleted.
func onDefinition(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	o := ev.Object()
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil && owner.Kind == multusConfig {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}}}
	}
	return nil
}

func on(prefix string) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: prefix + ev.Object().GetName()}}}
	}
}

// onPool wakes the subnets of a pool's range.
func onPool(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	subnets := &spiderpoolv2beta1.SpiderSubnetList{}
	if err := read.List(ctx, subnets); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range subnets.Items {
		s := &subnets.Items[i]
		if s.Spec.Subnet == ev.Object().(*spiderpoolv2beta1.SpiderIPPool).Spec.Subnet {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: subnetKey + s.Name}})
		}
	}
	return out
}

// without is the list of finalizers less our own.
func without(finalizers []string) []string {
	return slices.DeleteFunc(finalizers, func(f string) bool { return f == spiderpoolv2beta1.Finalizer })
}
