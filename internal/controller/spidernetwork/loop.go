// Package spidernetwork keeps what Spiderpool's own controller keeps: the
// NetworkAttachmentDefinition of each SpiderMultusConfig, what a SpiderSubnet
// says about its pools, the pools that are made of a SpiderSubnet for one
// workload, and what a SpiderCoordinator says about the cluster. It lets go of subnets that no pool needs and of coordinators.
package spidernetwork

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/autopool"
	cniv1 "berth.dev/berth/spiderpool/cni/v1"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

const (
	appKey         = "app/"
	subnetKey      = "subnet/"
	coordinatorKey = "coordinator/"
)

// Config says what the cluster's ranges are.
type Config struct {
	ClusterCIDRs []netip.Prefix
	ServiceCIDRs []netip.Prefix
}

// Loop returns the loop. Its keys: namespace / name of a SpiderMultusConfig, and
// without a namespace "subnet/NAME" and "coordinator/NAME"; namespace / "app/KIND/NAME"
// for a workload that has pools made for it.
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
			{Kind: &spiderpoolv2beta1.SpiderReservedIP{}},
			{Kind: &appsv1.Deployment{}, Map: onApp},
			{Kind: &appsv1.ReplicaSet{}, Map: onApp},
			{Kind: &appsv1.StatefulSet{}, Map: onApp},
			{Kind: &appsv1.DaemonSet{}, Map: onApp},
			{Kind: &batchv1.Job{}, Map: onApp},
			{Kind: &batchv1.CronJob{}, Map: onApp},
		},
		New: func(env loop.Env) reconcile.Reconciler {
			return &controller{env: env, config: config, short: map[types.NamespacedName]bool{}}
		},
	}
}

type controller struct {
	env    loop.Env
	config Config
	// short are the workloads whose pools lack addresses or a subnet.
	short map[types.NamespacedName]bool
}

// Reconcile brings one object up to date.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if strings.HasPrefix(req.Name, appKey) {
		return reconcile.Result{}, c.app(ctx, req.NamespacedName)
	}
	if name, ok := strings.CutPrefix(req.Name, subnetKey); ok {
		return reconcile.Result{}, errors.Join(c.subnet(ctx, name), c.again(ctx))
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

// onPool wakes the subnets of a pool's range, and the workload that it was made for.
func onPool(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	subnets := &spiderpoolv2beta1.SpiderSubnetList{}
	if err := read.List(ctx, subnets); err != nil {
		return nil
	}
	var out []reconcile.Request
	if app, ok := autopool.Owner(ev.Object().(*spiderpoolv2beta1.SpiderIPPool)); ok {
		out = append(out, keyOf(app.Kind, app.Namespace, app.Name))
	}
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
