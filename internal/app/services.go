package app

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/base/group"
	"berth.dev/berth/internal/network/cni"
	"berth.dev/berth/internal/network/dns"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/network/policy"
	"berth.dev/berth/internal/network/poolrange"
	"berth.dev/berth/internal/network/proxy"
	"berth.dev/berth/internal/network/route"
)

// runLinks sets the node's routes; they stay in the kernel.
func (a *agent) runLinks(ctx context.Context, ready func()) error {
	if err := setUpNetwork(a.dir, link.Node{PodCIDRs: a.cluster, ServiceCIDRs: a.services, Local: a.dns, NodeIPs: a.nodeIPs}); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

// runNetwork answers the CNI plugin.
func (a *agent) runNetwork(ctx context.Context, ready func()) error {
	client, err := a.server.client("system:node:"+a.nodeName, "system:nodes")
	if err != nil {
		return err
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	defer events.Shutdown()
	c, err := cni.New(cni.Config{
		Client: a.as("system:node:"+a.nodeName, "system:nodes"), NodeName: a.nodeName, NodeIPs: a.nodeIPs, Dir: a.dir, Ending: a.endingOf, Log: a.log,
		Guard: a.guard(), Bundle: a.bundle, Cluster: slices.Concat(a.cluster, a.services),
		Events: events.NewRecorder(api.Scheme, corev1.EventSource{Component: "kubelet", Host: a.nodeName}),
	})
	if err != nil {
		return err
	}
	a.network.Store(c)
	return c.Run(ctx, func() { a.up(&a.networkUp); ready() })
}

// endingOf is closed when a pod is to end.
func (a *agent) endingOf(uid types.UID) <-chan struct{} {
	if pods := a.pods.Load(); pods != nil {
		return pods.Ending(uid)
	}
	return nil
}

// networkClear returns when a sandbox is known to be alone with its addresses.
// Pods of before this process were looked at by that one.
func (a *agent) networkClear(ctx context.Context, sandbox string) error {
	if network := a.network.Load(); network != nil {
		return network.Clear(ctx, sandbox)
	}
	return nil
}

// networkMetrics tells what the pods' network cost their starts.
func (a *agent) networkMetrics(w http.ResponseWriter, r *http.Request) {
	if network := a.network.Load(); network != nil {
		network.Metrics(w, r)
	}
}

// guard has pods wait for their network until what policies say of them is in force.
func (a *agent) guard() func(context.Context, types.NamespacedName, types.UID, []netip.Addr) error {
	if !a.enabled("network-policy") {
		return nil
	}
	return func(ctx context.Context, pod types.NamespacedName, uid types.UID, addresses []netip.Addr) error {
		select {
		case p := <-a.policies:
			a.policies <- p
			return p.Attach(ctx, pod, uid, addresses)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// runRoutes leads to the pods of other nodes.
func (a *agent) runRoutes(ctx context.Context, ready func()) error {
	r, err := route.New(route.Config{Client: a.as("system:node:"+a.nodeName, "system:nodes"), NodeName: a.nodeName, NodeIPs: a.nodeIPs, Log: a.log.With("component", "routes")})
	if err != nil {
		return err
	}
	return r.Run(ctx, ready)
}

// runServices keeps the service rules and answers DNS, both from one set of watches.
func (a *agent) runServices(ctx context.Context, ready func()) error {
	client, err := a.server.client("system:serviceaccount:kube-system:coredns", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	if err != nil {
		return err
	}
	watches := informers.NewSharedInformerFactory(client, 0)
	own, err := a.ownNode()
	if err != nil {
		return err
	}
	var units []group.Unit
	if a.enabled("proxy") {
		p, err := proxy.New(proxy.Config{Informers: watches, Node: own.Core().V1().Nodes().Informer(), NodeName: a.nodeName, Log: a.log.With("component", "proxy"), Ranges: proxy.Ranges{
			Cluster: a.cluster, Services: a.services, Local: a.dns,
		}})
		if err != nil {
			return err
		}
		pools, err := poolrange.New(a.as("system:serviceaccount:kube-system:coredns", "system:serviceaccounts", "system:serviceaccounts:kube-system"), p.SetPools)
		if err != nil {
			return err
		}
		p.WaitFor(pools.Synced())
		units = append(units, group.Unit{Name: "proxy", Run: p.Run}, group.Unit{Name: "address pools", Run: pools.Run})
	}
	if a.enabled("network-policy") {
		p, err := policy.New(policy.Config{
			Informers: watches, Client: client, NodeName: a.nodeName, Local: a.dns, DualStack: len(a.services) > 1 || a.services[0].Addr().Is6(),
			Log: a.log.With("component", "network policy"),
		})
		if err != nil {
			return err
		}
		a.policies <- p
		units = append(units, group.Unit{Name: "network policy", Run: p.Run})
	}
	if a.enabled("dns") {
		conf, err := os.ReadFile("/etc/resolv.conf")
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		text, events := only(client, metav1.NamespaceSystem, dns.ConfigMap), record.NewBroadcaster(record.WithContext(ctx))
		events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
		defer events.Shutdown()
		d, err := dns.New(dns.Config{
			Informers: watches, Addresses: a.dns, Domain: a.cfg.ClusterDomain, Upstream: dns.Upstreams(string(conf), a.dns),
			Corefile: text.Core().V1().ConfigMaps().Informer(),
			Events:   events.NewRecorder(api.Scheme, corev1.EventSource{Component: "coredns", Host: a.nodeName}),
			Log:      a.log.With("component", "dns"),
		})
		if err != nil {
			return err
		}
		units = append(units, group.Unit{Name: "dns", Run: d.Run})
		text.StartWithContext(ctx)
		defer text.Shutdown()
	}
	if err := a.seen(own.Core().V1().Nodes().Informer()); err != nil {
		return err
	}
	own.StartWithContext(ctx)
	defer own.Shutdown()
	watches.StartWithContext(ctx)
	defer watches.Shutdown()
	return group.Run(ctx, ready, units...)
}

// ownNode watches this machine's node and no other.
func (a *agent) ownNode() (informers.SharedInformerFactory, error) {
	client, err := a.server.client("system:node:"+a.nodeName, "system:nodes")
	if err != nil {
		return nil, err
	}
	return only(client, metav1.NamespaceAll, a.nodeName), nil
}

// seen lets the registration and the volumes know what others make of this node.
func (a *agent) seen(nodes cache.SharedIndexInformer) error {
	tell := func(obj any) {
		// Before there is a registration there is nothing to put right: it reads first.
		node := obj.(*corev1.Node)
		if r := a.told.Load(); r != nil {
			r.Seen(node)
		}
		if v := a.volumes.Load(); v != nil {
			v.NodeSeen(node)
		}
	}
	_, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, obj any) { tell(obj) }})
	return err
}

// only watches objects of one name.
func only(client kubernetes.Interface, namespace, name string) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace), informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}))
}
