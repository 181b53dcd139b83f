package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/base/group"
	"berth.dev/berth/internal/fence"
	"berth.dev/berth/internal/network/cni"
	"berth.dev/berth/internal/network/hostport"
	"berth.dev/berth/internal/network/policy"
	"berth.dev/berth/internal/node"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/csi"
	"berth.dev/berth/internal/node/disk"
	"berth.dev/berth/internal/node/evict"
	"berth.dev/berth/internal/node/hostpaths"
	"berth.dev/berth/internal/node/image"
	"berth.dev/berth/internal/node/localvolume"
	"berth.dev/berth/internal/node/register"
	nodeserver "berth.dev/berth/internal/node/server"
	"berth.dev/berth/internal/node/shutdown"
	"berth.dev/berth/internal/node/shutdown/logind"
	"berth.dev/berth/internal/node/volume"
	planevict "berth.dev/berth/internal/plan/evict"
)

// agent is the node half of an instance.
type agent struct {
	*server
	bundle string
	// What Ready waits for; each that turns true wakes the registration.
	runtimeUp, networkUp, agentUp atomic.Bool
	about                         atomic.Pointer[register.Runtime] // what the runtime says of itself
	evictor                       atomic.Pointer[evict.Evictor]
	ending                        atomic.Pointer[shutdown.Watcher]
	pods                          atomic.Pointer[node.Agent]
	volumes                       atomic.Pointer[volume.Volumes]
	notes                         *volume.Notes // of drivers' volumes
	network                       atomic.Pointer[cni.Server]
	collector                     atomic.Pointer[image.Collector]
	fence                         *fence.Keeper
	// ---
	client       kubernetes.Interface // with the node's identity
	registration *register.Registration
	told         atomic.Pointer[register.Registration] // the same, for who starts before it
	nodeEvent    func(kind, reason, message string)
	evicting     planevict.Config
	reserved     int64                 // memory that pods may not have
	once         sync.Once             // closes nodeReady
	policies     chan *policy.Enforcer // holds the enforcer once it is made
}

// agent returns the units that make this machine a node.
func (s *server) agent() ([]group.Unit, error) {
	bundle, err := s.cfg.bundle()
	if err != nil {
		return nil, err
	}
	if s.cfg.ContainerRuntimeEndpoint == "" {
		// Said before anything starts, so that it is the only thing said.
		if err := runtimeConfig(s.dir, bundle, s.facts).Complete(); err != nil {
			return nil, err
		}
	}
	a := &agent{server: s, bundle: bundle, policies: make(chan *policy.Enforcer, 1)}
	if err := a.openFence(); err != nil {
		return nil, err
	}
	units := []group.Unit{
		{Name: "registration", After: []string{"api server"}, Run: a.runRegistration},
		{Name: "links", Run: a.runLinks},
		{Name: "network", After: []string{"links", "registration"}, Run: a.runNetwork},
		// Names and services are answered again as soon as the API is: running
		// pods rely on them while berth restarts.
		{Name: "services", After: []string{"links", "api server"}, Run: a.runServices},
		{Name: "routes", After: []string{"links", "api server"}, Run: a.runRoutes},
		{Name: "fence", After: []string{"registration"}, Run: a.runFence},
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

// runAgent runs the pods of this node.
func (a *agent) runAgent(ctx context.Context, ready func()) error {
	runtimeClient, err := cri.Dial(a.criEndpoint())
	if err != nil {
		return err
	}
	var pods *node.Agent
	images := a.collect(runtimeClient, func() *node.Agent { return pods })
	logSize, err := a.cfg.logMaxSize()
	if err != nil {
		return err
	}
	// A node's own identity may not list volumes; making new ones and removing deleted ones needs it.
	janitor, err := a.server.client("system:serviceaccount:kube-system:local-volumes", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	if err != nil {
		return err
	}
	snapshots, err := dynamic.NewForConfig(a.server.as("system:serviceaccount:kube-system:local-volumes", "system:serviceaccounts", "system:serviceaccounts:kube-system"))
	if err != nil {
		return fmt.Errorf("client for snapshots of volumes: %w", err)
	}
	if err := volume.ShareMounts(a.dir.Kubelet()); err != nil {
		a.log.Warn("what storage drivers mount will not be seen", "error", err)
	}
	links, shown := a.provideHostPaths()
	var volumes *volume.Volumes
	drivers := csi.New(csi.Config{
		Root: a.dir.Kubelet(), Shown: shown, NodeName: a.nodeName, Client: a.client, Registered: a.registration.Registered(),
		Changed: func(driver string) { volumes.DriverCame(driver) }, Log: a.log.With("component", "csi"),
	})
	volumes = volume.New(volume.Config{
		Root: a.dir.Kubelet(), VolumesDir: a.dir.Volumes(), NodeName: a.nodeName, Client: a.client, Node: a.registration.Node, Begun: localvolume.Begun(janitor),
		Drivers: drivers, Notes: a.notes, InUseChanged: a.registration.Trigger,
		Event:   func(pod *corev1.Pod, kind, reason, message string) { pods.VolumeEvent(pod, kind, reason, message) },
		Changed: func(uid types.UID) { pods.VolumesChanged(uid) }, Log: a.log.With("component", "volumes"),
	})
	a.volumes.Store(volumes)
	pods, err = node.New(node.Config{
		NodeName: a.nodeName, Client: a.client, Runtime: runtimeClient, Dir: a.dir,
		ClusterDNS: a.dns, ClusterDomain: a.cfg.ClusterDomain, NodeIPs: a.nodeIPs, MaxPods: a.cfg.MaxPods, Node: a.registration.Node,
		Registered: a.registration.Registered(), UnsafeSysctls: a.cfg.UnsafeSysctls, LogLinks: links, Closing: a.closing,
		Pressure: func() []corev1.NodeConditionType { under, _ := a.pressure(); return under },
		Volumes:  volumes, HostPorts: hostport.New(), SubPath: subPaths(volumes), Log: a.log.With("component", "node"),
		Manifests: cmp.Or(a.cfg.PodManifestPath, a.dir.PodManifests()), BadManifest: a.badManifest,
		LogSize: logSize, LogFiles: a.cfg.LogMaxFiles, Pulled: images.Changed, Fence: a.fence, PauseSeccomp: a.pauseSeccomp(),
		NetworkClear: a.networkClear,
	})
	if err != nil {
		return err
	}
	a.pods.Store(pods)
	evictor := evict.New(evict.Config{
		Config: a.evicting, Dir: a.dir, State: runtimeConfig(a.dir, a.bundle, a.facts).Tasks(), Runtime: runtimeClient.RuntimeServiceClient,
		Pods: pods, Observe: func() map[planevict.Signal]planevict.Observation { return a.observe(pods) },
		Reclaim: images.Reclaim, Changed: a.registration.Trigger, Event: a.nodeEvent, Log: a.log.With("component", "eviction"),
	})
	a.evictor.Store(evictor)
	periods, err := a.cfg.shutdownPeriods()
	if err != nil {
		return err
	}
	ending := shutdown.New(shutdown.Config{
		Periods: periods, Logind: logind.Config{Owner: a.dir.Path()}, Pods: pods, Changed: a.registration.Trigger, Event: a.nodeEvent, Log: a.log.With("component", "shutdown"),
	})
	a.ending.Store(ending)
	certificate, authority, err := a.serving()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", a.cfg.AgentPort))
	if err != nil {
		return fmt.Errorf("node agent: %w; choose another port with --agent-port", err)
	}
	access, err := nodeserver.NewAccess(a.client)
	if err != nil {
		return err
	}
	meter := disk.NewMeter(clock.RealClock{})
	meter.Ask = volumes.DriverStats
	server := nodeserver.New(nodeserver.Config{
		Access:   access,
		NodeName: a.nodeName, Pods: pods, Runtime: runtimeClient.RuntimeServiceClient, ClientCAs: authority,
		Certificate: certificate, Inside: pods.Inside,
		Disks: &nodeserver.Disks{
			Meter: meter, Dir: a.dir, State: runtimeConfig(a.dir, a.bundle, a.facts).Tasks(),
			Images: runtimeClient.Images, Volumes: volumes.Files,
		},
		Metrics: http.HandlerFunc(a.networkMetrics),
		Log:     a.log.With("component", "node server"),
	})
	return group.Run(ctx, ready,
		group.Unit{Name: "volumes", Run: func(ctx context.Context, ready func()) error { ready(); return volumes.Run(ctx) }},
		group.Unit{Name: "storage drivers", After: []string{"pods"}, Run: func(ctx context.Context, ready func()) error { ready(); return drivers.Run(ctx) }},
		group.Unit{Name: "pods", After: []string{"volumes"}, Run: func(ctx context.Context, ready func()) error {
			return pods.Run(ctx, func() {
				a.up(&a.agentUp)
				ready()
			})
		}},
		group.Unit{Name: "former volumes", After: []string{"pods"}, Run: func(ctx context.Context, ready func()) error {
			ready()
			// What was deleted by force while we were away left its volumes here. A
			// server that does not answer may hold this up for ever.
			if err := volumes.TearDownOthers(ctx, pods.Knows); err != nil && ctx.Err() == nil {
				a.log.Warn("volumes of former pods", "err", err)
			}
			return nil
		}},
		group.Unit{Name: "eviction", After: []string{"pods"}, Run: func(ctx context.Context, ready func()) error { ready(); return evictor.Run(ctx) }},
		group.Unit{Name: "shutdown", After: []string{"pods"}, Run: func(ctx context.Context, ready func()) error { ready(); return ending.Run(ctx) }},
		group.Unit{Name: "server", Run: func(ctx context.Context, ready func()) error { ready(); return server.Serve(ctx, listener) }},
		group.Unit{Name: "node images", After: []string{"pods"}, Run: func(ctx context.Context, ready func()) error { ready(); images.Run(ctx); return nil }},
		group.Unit{Name: "local volumes", Run: func(ctx context.Context, ready func()) error {
			ready()
			events, stop := a.recorder(ctx)
			defer stop()
			return localvolume.Run(ctx, localvolume.Config{
				Client: janitor, NodeName: a.nodeName, Dir: a.dir.Volumes(), Snapshots: snapshots, Share: volumes.Share, Event: events.Event, Log: a.log,
			})
		}},
	)
}

// badManifest tells where people look for it: at the node.
func (a *agent) badManifest(file string, err error) {
	a.nodeEvent(corev1.EventTypeWarning, "InvalidStaticPod", fmt.Sprintf("%s: %v", file, err))
}

// provideHostPaths shows the folders where charts look for a kubelet's. Pods
// run without that too.
func (a *agent) provideHostPaths() (links node.LogLinks, kubelet string) {
	if a.cfg.KubeletPaths == "off" || a.cfg.KubeletPaths == "auto" && a.dir.Path() != datadir.Default {
		return node.LogLinks{}, ""
	}
	paths := hostpaths.Of(a.dir)
	if err := paths.Provide(); err != nil {
		a.log.Warn("the node's folders are not all where charts look for them", "error", err)
	}
	return node.LogLinks{Dir: paths.Containers(), Pods: paths.Pods()}, paths.Kubelet()
}

// serving is what the node's server shows, and whom it believes.
func (a *agent) serving() (certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), authority *x509.CertPool, err error) {
	if a.joined != nil {
		return a.joined.identity.Serving, a.joined.authority, nil
	}
	own, err := a.pki.NodeServing.TLS()
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }, a.pki.CA.Pool(), err
}

// subPaths lets the agent mount parts of volumes.
func subPaths(v *volume.Volumes) func(context.Context, node.SubPath) (string, error) {
	return func(ctx context.Context, s node.SubPath) (string, error) {
		return v.SubPath(ctx, volume.Mount{
			Pod: s.Pod, Volume: s.Volume, Container: s.Container, Index: s.Index, Root: s.Root, SubPath: s.Path,
		})
	}
}
