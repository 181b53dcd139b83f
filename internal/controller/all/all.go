// Package all lists the control loops of one cluster.
package all

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/controller/attachdetach"
	"berth.dev/berth/internal/controller/attributesclass"
	"berth.dev/berth/internal/controller/autoscale"
	"berth.dev/berth/internal/controller/balancer"
	"berth.dev/berth/internal/controller/bootstraptoken"
	"berth.dev/berth/internal/controller/certificate"
	"berth.dev/berth/internal/controller/cronjob"
	"berth.dev/berth/internal/controller/daemonset"
	"berth.dev/berth/internal/controller/deployment"
	"berth.dev/berth/internal/controller/disruption"
	"berth.dev/berth/internal/controller/endpointslice"
	"berth.dev/berth/internal/controller/ephemeralvolume"
	"berth.dev/berth/internal/controller/expander"
	"berth.dev/berth/internal/controller/job"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/namespace"
	"berth.dev/berth/internal/controller/nfsprovisioner"
	"berth.dev/berth/internal/controller/nodelife"
	"berth.dev/berth/internal/controller/nodeloss"
	"berth.dev/berth/internal/controller/podcertificate"
	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/controller/protection"
	"berth.dev/berth/internal/controller/provisioner"
	"berth.dev/berth/internal/controller/reap"
	"berth.dev/berth/internal/controller/replicaset"
	"berth.dev/berth/internal/controller/resourcequota"
	"berth.dev/berth/internal/controller/served"
	"berth.dev/berth/internal/controller/serviceaccount"
	"berth.dev/berth/internal/controller/serviceaddress"
	"berth.dev/berth/internal/controller/spidernetwork"
	"berth.dev/berth/internal/controller/statefulset"
	"berth.dev/berth/internal/controller/trustbundle"
	"berth.dev/berth/internal/controller/volumebinder"
	"berth.dev/berth/internal/controller/volumesnapshot"
	"berth.dev/berth/internal/ipam"
	planbalancer "berth.dev/berth/internal/plan/balancer"
	"berth.dev/berth/internal/scheduler"
)

// Config is what the loops need beyond the API.
type Config struct {
	// RootCA is the certificate authority of the API server, in PEM.
	RootCA []byte
	// Schedulers are the scheduler names beside the default one.
	Schedulers scheduler.Profiles
	// IPAM says what the cluster's own address pools are.
	IPAM ipam.Config
	// ServiceCIDRs are the services' ranges.
	ServiceCIDRs []netip.Prefix
	// Certificates says who signs.
	Certificates certificate.Config
	// EndedPods is how many pods that have ended are kept; 0 keeps all.
	EndedPods int
	// NoLocalStorage leaves out the local provisioner.
	NoLocalStorage bool
	// LoadBalancers is the pool of Services of type LoadBalancer; without one
	// they wait for somebody else's.
	LoadBalancers planbalancer.Pool
	// Kinds are the built-in kinds that are served; nil means api.Kinds().
	Kinds []api.Kind
	// RESTConfig gives the loops that must know custom kinds their own
	// way to the API, by identity. nil (the simulator) means that only Kinds
	// are served.
	RESTConfig func(user string, groups ...string) *rest.Config
}

// Loops returns every loop, those that a pod's start waits for first.
func Loops(config Config) ([]loop.Loop, error) {
	if config.Kinds == nil {
		config.Kinds = api.Kinds()
	}
	addresses, err := ipam.Loop(config.IPAM)
	if err != nil {
		return nil, fmt.Errorf("address loop: %w", err)
	}
	var scales disruption.Scales
	if config.RESTConfig != nil {
		if scales, err = served.NewScales(config.RESTConfig(disruption.User, serviceAccountGroups...)); err != nil {
			return nil, fmt.Errorf("disruption loop: %w", err)
		}
	}
	loops := []loop.Loop{
		statefulset.Loop(),
		deployment.Loop(),
		daemonset.Loop(),
		replicaset.Loop(),
		replicaset.ControllerLoop(),
		scheduler.Loop(config.Schedulers),
		addresses,
		volumebinder.Loop(),
		attachdetach.Loop(),
		expander.External(),
		volumesnapshot.Loop(),
		endpointslice.Loop(),
		endpointslice.EndpointsLoop(),
		endpointslice.MirrorLoop(),
		serviceaccount.AccountLoop(),
		serviceaccount.RootCALoop(config.RootCA),
		protection.Loop(),
		attributesclass.Loop(),
		ephemeralvolume.Loop(),
		nodelife.Loop(),
		nodelife.EvictionLoop(),
		nodeloss.Loop(),
		podgc.Loop(config.EndedPods),
		job.Loop(),
		job.OrphanLoop(),
		job.TTLLoop(),
		cronjob.Loop(),
		disruption.Loop(scales),
		disruption.StaleLoop(),
		bootstraptoken.CleanerLoop(),
		bootstraptoken.SignerLoop(),
		serviceaddress.RepairLoop(),
		serviceaddress.RangeLoop(),
		spidernetwork.Loop(spidernetwork.Config{ClusterCIDRs: config.IPAM.ClusterCIDRs, ServiceCIDRs: config.ServiceCIDRs}),
		certificate.Loop(config.Certificates),
		podcertificate.CleanerLoop(),
	}
	if len(config.RootCA) > 0 {
		loops = append(loops, trustbundle.Loop(config.RootCA))
	}
	if len(config.LoadBalancers) > 0 {
		loops = append(loops, balancer.Loop(config.LoadBalancers))
	}
	if config.RESTConfig != nil {
		autoscaled, err := autoscale.NewServed(config.RESTConfig(autoscale.User, serviceAccountGroups...), clock.RealClock{})
		if err != nil {
			return nil, fmt.Errorf("autoscaling loop: %w", err)
		}
		loops = append(loops, autoscale.Loop(autoscaled, autoscaled))
	}
	if !config.NoLocalStorage {
		loops = append(loops, provisioner.Loop(), expander.Loop(), nfsprovisioner.Loop())
	}
	whole := typed(loops)
	whole[loop.KeyOf(&corev1.ResourceQuota{})] = true
	whole[loop.KeyOf(&resourcev1.ResourceClaim{})] = true // quotas limit what they ask for
	collected := collectable(config.Kinds, whole)
	var watched []client.Object
	for _, k := range collected {
		if k.Namespaced {
			watched = append(watched, k.New())
		}
	}
	content := namespace.Fixed(resources(config.Kinds))
	var foreign reap.Foreign
	var uncached resourcequota.Foreign
	var announcing []client.Object
	if config.RESTConfig != nil {
		c, err := served.NewContent(config.RESTConfig(namespace.User, serviceAccountGroups...))
		if err != nil {
			return nil, fmt.Errorf("namespace loop: %w", err)
		}
		content = func(loop.Env) namespace.Content { return c }
		if foreign, err = served.NewOwners(config.RESTConfig(reap.User, serviceAccountGroups...)); err != nil {
			return nil, fmt.Errorf("garbage collector: %w", err)
		}
		collected = append(collected, reap.Kind{
			GVK:     definition,
			New:     func() client.Object { return metadataOnly(definition) },
			NewList: func() client.ObjectList { return metadataList(definition) },
		})
		if uncached, err = served.NewContent(config.RESTConfig(resourcequota.User, serviceAccountGroups...)); err != nil {
			return nil, fmt.Errorf("quota loop: %w", err)
		}
		for _, k := range collected {
			if k.GVK == definition || k.GVK.Kind == "APIService" {
				announcing = append(announcing, k.New())
			}
		}
	}
	return append(loops,
		namespace.Loop(content, watched),
		reap.Loop(collected, foreign),
		resourcequota.Loop(limitable(config.Kinds, collected), uncached, announcing...),
	), nil
}

// limitable are the kinds whose objects quotas can count.
func limitable(kinds []api.Kind, collected []reap.Kind) []resourcequota.Kind {
	var out []resourcequota.Kind
	for _, c := range collected {
		i := slices.IndexFunc(kinds, func(k api.Kind) bool { return k.GVK == c.GVK })
		if c.Namespaced {
			r := schema.GroupResource{Group: c.GVK.Group, Resource: kinds[i].Resource}
			out = append(out, resourcequota.Kind{Resource: r, New: c.New, NewList: c.NewList})
		}
	}
	return out
}

// definition is the kind that defines custom ones; a library serves it.
var definition = resourcequota.Definition

var serviceAccountGroups = []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}

// typed are the kinds that some loop has in the cache as whole objects.
func typed(loops []loop.Loop) map[loop.KindKey]bool {
	out := map[loop.KindKey]bool{}
	for _, l := range loops {
		for _, w := range l.Watches {
			out[loop.KeyOf(w.Kind)] = true
		}
	}
	return out
}

// collectable are the kinds that garbage collection looks after: all but
// events. What is not in the cache anyway is watched by its metadata only.
func collectable(kinds []api.Kind, typed map[loop.KindKey]bool) []reap.Kind {
	var out []reap.Kind
	for _, k := range kinds {
		if k.GVK.Kind == "Event" || k.Repeated() {
			continue
		}
		r := reap.Kind{GVK: k.GVK, Namespaced: k.Namespaced}
		if o, ok := k.New().(client.Object); ok && typed[loop.KeyOf(o)] {
			r.New = func() client.Object { return k.New().(client.Object) }
			r.NewList = func() client.ObjectList { return k.NewList().(client.ObjectList) }
		} else {
			r.New = func() client.Object { return metadataOnly(k.GVK) }
			r.NewList = func() client.ObjectList { return metadataList(k.GVK) }
		}
		out = append(out, r)
	}
	return out
}

func metadataOnly(gvk schema.GroupVersionKind) client.Object {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(gvk)
	return o
}

func metadataList(gvk schema.GroupVersionKind) client.ObjectList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	return list
}

func resources(kinds []api.Kind) []metav1.APIResource {
	var out []metav1.APIResource
	for _, k := range kinds {
		if k.Repeated() {
			continue
		}
		out = append(out, metav1.APIResource{
			Name: k.Resource, Kind: k.GVK.Kind, Group: k.GVK.Group, Version: k.GVK.Version,
			Namespaced: k.Namespaced, Verbs: metav1.Verbs{"list", "delete"},
		})
	}
	return out
}
