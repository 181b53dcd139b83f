package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/base/group"
	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/network/cni"
	"berth.dev/berth/internal/network/dns"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/network/proxy"
	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/localvolume"
	"berth.dev/berth/internal/node/register"
	"berth.dev/berth/internal/node/runtime"
	nodeserver "berth.dev/berth/internal/node/server"
	"berth.dev/berth/internal/node/volume"
)

// agent is the node half of an instance.
type agent struct {
	*server
	bundle string
	// What Ready waits for; each that turns true wakes the registration.
	runtimeUp, networkUp, agentUp atomic.Bool
	// ---
	client       kubernetes.Interface // with the node's identity
	registration *register.Registration
	once         sync.Once // closes nodeReady
}

// agent returns the units that make this machine a node.
func (s *server) agent() ([]group.Unit, error) {
	bundle, err := s.cfg.bundle()
	if err != nil {
		return nil, err
	}
	a := &agent{server: s, bundle: bundle}
	units := []group.Unit{
		{Name: "registration", After: []string{"api server"}, Run: a.runRegistration},
		{Name: "network", After: []string{"registration"}, Run: a.runNetwork},
		{Name: "services", After: []string{"network"}, Run: a.runServices},
		{Name: "node agent", After: []string{"registration", "images"}, Run: a.runAgent},
	}
	if s.cfg.ContainerRuntimeEndpoint == "" {
		units = append(units,
			group.Unit{Name: "runtime", Run: a.runRuntime},
			group.Unit{Name: "images", After: []string{"runtime"}, Run: a.runImages})
	} else {
		units = append(units, group.Unit{Name: "images", Run: a.runImages})
	}
	return units, nil
}

func (a *agent) runRuntime(ctx context.Context, ready func()) error {
	return runtime.New(runtime.Config{Dir: a.dir, BundleDir: a.bundle, RestrictOOMScore: !a.facts.OOMAdjust}, a.log).Run(ctx, ready)
}

// criEndpoint is the runtime's socket: the bundle's containerd or the user's own.
func (a *agent) criEndpoint() string {
	if a.cfg.ContainerRuntimeEndpoint != "" {
		return a.cfg.ContainerRuntimeEndpoint
	}
	return "unix://" + a.dir.RuntimeSocket()
}

// runImages imports the images that the bundle brings.
func (a *agent) runImages(ctx context.Context, ready func()) error {
	if a.cfg.ContainerRuntimeEndpoint == "" {
		if err := a.importImages(ctx); err != nil {
			return err
		}
	}
	a.runtimeUp.Store(true)
	ready()
	<-ctx.Done()
	return nil
}

func (a *agent) importImages(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(a.bundle, "images", "*.tar"))
	if err != nil {
		return err
	}
	store, err := image.Open(a.dir.RuntimeSocket())
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Ensure(ctx, files...)
}

// runRegistration puts this node into the API. It is Ready when the runtime,
// the network and the agent are.
func (a *agent) runRegistration(ctx context.Context, ready func()) error {
	var err error
	if a.client, err = a.server.client("system:node:"+a.nodeName, "system:nodes"); err != nil {
		return err
	}
	labeler, err := a.server.client("system:berth:registration", "system:masters")
	if err != nil {
		return err
	}
	reserved, eviction, err := a.cfg.reservations()
	if err != nil {
		return err
	}
	var addresses []string
	for _, ip := range a.nodeIPs {
		addresses = append(addresses, ip.String())
	}
	a.registration = register.New(register.Config{
		Name: a.nodeName, Client: a.client, Labeler: labeler, ControlPlane: true,
		Addresses: addresses, Port: int32(a.cfg.AgentPort), VolumesDir: a.dir.Volumes(), DataDir: a.dir.Path(),
		Version: Version(), MaxPods: int64(a.cfg.MaxPods), Reserved: reserved, Eviction: eviction,
		Ready: a.ready, Log: a.log,
	})
	ready()
	return a.registration.Run(ctx)
}

// ready is the node's Ready condition.
func (a *agent) ready() (ok bool, reason, message string) {
	switch {
	case !a.runtimeUp.Load():
		return false, "KubeletNotReady", "container runtime is not ready yet"
	case !a.networkUp.Load():
		return false, "KubeletNotReady", "container runtime network not ready: the pod network is being set up"
	case !a.agentUp.Load():
		return false, "KubeletNotReady", "the node agent is reading its pods"
	}
	return true, "KubeletReady", "kubelet is posting ready status"
}

// up notes that a part is ready and tells the API at once.
func (a *agent) up(part *atomic.Bool) {
	part.Store(true)
	a.registration.Trigger()
	if ok, _, _ := a.ready(); ok {
		a.once.Do(func() { close(a.nodeReady) })
	}
}

// runNetwork sets the node's routes and answers the CNI plugin.
func (a *agent) runNetwork(ctx context.Context, ready func()) error {
	if err := setUpNetwork(a.dir, link.Node{PodCIDRs: a.cluster, ServiceCIDRs: a.services, Local: a.dns, NodeIPs: a.nodeIPs}); err != nil {
		return err
	}
	c, err := cni.New(cni.Config{Client: a.as("system:node:"+a.nodeName, "system:nodes"), NodeName: a.nodeName, Dir: a.dir, Log: a.log})
	if err != nil {
		return err
	}
	return c.Run(ctx, func() { a.up(&a.networkUp); ready() })
}

// runServices keeps the service rules and answers DNS, both from one set of watches.
func (a *agent) runServices(ctx context.Context, ready func()) error {
	client, err := a.server.client("system:serviceaccount:kube-system:coredns", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	if err != nil {
		return err
	}
	watches := informers.NewSharedInformerFactory(client, 0)
	var units []group.Unit
	if a.enabled("proxy") {
		p, err := proxy.New(proxy.Config{Informers: watches, Log: a.log.With("component", "proxy"), Ranges: proxy.Ranges{
			Cluster: a.cluster, Services: a.services, Local: a.dns,
		}})
		if err != nil {
			return err
		}
		units = append(units, group.Unit{Name: "proxy", Run: p.Run})
	}
	if a.enabled("dns") {
		conf, err := os.ReadFile("/etc/resolv.conf")
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		d, err := dns.New(dns.Config{
			Informers: watches, Addresses: a.dns, Domain: a.cfg.ClusterDomain,
			Upstream: dns.Upstreams(string(conf), a.dns), Log: a.log.With("component", "dns"),
		})
		if err != nil {
			return err
		}
		units = append(units, group.Unit{Name: "dns", Run: d.Run})
	}
	watches.StartWithContext(ctx)
	defer watches.Shutdown()
	return group.Run(ctx, ready, units...)
}

// runAgent runs the pods of this node.
func (a *agent) runAgent(ctx context.Context, ready func()) error {
	runtimeClient, err := cri.Dial(a.criEndpoint())
	if err != nil {
		return err
	}
	var pods *node.Agent
	volumes := volume.New(volume.Config{
		Root: a.dir.Kubelet(), VolumesDir: a.dir.Volumes(), Client: a.client, Node: a.registration.Node,
		Changed: func(uid types.UID) { pods.VolumesChanged(uid) }, Log: a.log.With("component", "volumes"),
	})
	pods, err = node.New(node.Config{
		NodeName: a.nodeName, Client: a.client, Runtime: runtimeClient, Dir: a.dir,
		ClusterDNS: a.dns, ClusterDomain: a.cfg.ClusterDomain, NodeIPs: a.nodeIPs, Node: a.registration.Node,
		Volumes: volumes, SubPath: subPaths(volumes), Log: a.log.With("component", "node"),
	})
	if err != nil {
		return err
	}
	// A node's own identity may not list volumes; removing deleted ones needs it.
	janitor, err := a.server.client("system:serviceaccount:kube-system:local-volumes", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	if err != nil {
		return err
	}
	certificate, err := a.pki.NodeServing.TLS()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", a.cfg.AgentPort))
	if err != nil {
		return fmt.Errorf("node agent: %w; choose another port with --agent-port", err)
	}
	server := nodeserver.New(nodeserver.Config{
		NodeName: a.nodeName, Pods: pods, Runtime: runtimeClient.RuntimeServiceClient, ClientCAs: a.pki.CA.Pool(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
		Log:         a.log.With("component", "node server"),
	})
	return group.Run(ctx, ready,
		group.Unit{Name: "volumes", Run: func(ctx context.Context, ready func()) error { ready(); return volumes.Run(ctx) }},
		group.Unit{Name: "pods", After: []string{"volumes"}, Run: func(ctx context.Context, ready func()) error {
			return pods.Run(ctx, func() { a.up(&a.agentUp); ready() })
		}},
		group.Unit{Name: "server", Run: func(ctx context.Context, ready func()) error { ready(); return server.Serve(ctx, listener) }},
		group.Unit{Name: "local volumes", Run: func(ctx context.Context, ready func()) error {
			ready()
			return localvolume.Run(ctx, janitor, a.nodeName, a.dir.Volumes(), a.log)
		}},
	)
}

// subPaths lets the agent mount parts of volumes.
func subPaths(v *volume.Volumes) func(context.Context, node.SubPath) (string, error) {
	return func(ctx context.Context, s node.SubPath) (string, error) {
		return v.SubPath(ctx, volume.Mount{
			Pod: s.Pod, Volume: s.Volume, Container: s.Container, Index: s.Index, Root: s.Root, SubPath: s.Path,
		})
	}
}
