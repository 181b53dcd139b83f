package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/image"
	"berth.dev/berth/internal/plan/admit"
	"berth.dev/berth/internal/plan/podspec"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
)

// Volumes puts the volumes of pods on the node's disk.
type Volumes interface {
	// Setup returns the host path of each volume by its name. It is called
	// again after a failure, and once for each running pod after a restart.
	Setup(ctx context.Context, pod *corev1.Pod) (map[string]string, error)
	// TearDown takes down all volumes of a pod whose containers are gone.
	TearDown(ctx context.Context, uid types.UID) error
}

// SubPath is an entry of a container's volumeMounts that shows a part of a volume.
type SubPath struct {
	Pod       types.UID
	Volume    string
	Container string
	Index     int
	Root      string // the volume's host path
	Path      string // relative to Root, expanded
}

// Config is what an Agent needs.
type Config struct {
	NodeName string
	// Client carries the node's identity.
	Client kubernetes.Interface
	// Runtime is the container runtime; nil dials Endpoint.
	Runtime  *cri.Client
	Endpoint string
	Dir      datadir.Dir

	ClusterDNS    []netip.Addr
	ClusterDomain string
	NodeIPs       []netip.Addr
	// MaxPods is how many pods the node may run, 110 unless set.
	MaxPods int
	// Node returns the node's object as last seen, nil before it is known.
	Node func() *corev1.Node
	// Registered is closed once Node knows it; nil is known from the start.
	Registered <-chan struct{}
	// Pressure are the conditions that the node is under; nil is none, ever.
	Pressure func() []corev1.NodeConditionType
	// Closing is true while the machine is going down; nil is never.
	Closing func() bool
	// UnsafeSysctls are what pods may set beside the safe ones; patterns may end in *.
	UnsafeSysctls []string

	// PauseSeccomp is the file of a seccomp profile for sandboxes, empty for the
	// runtime's own.
	PauseSeccomp string

	// Fence ends pods that may be replaced elsewhere; nil ends none.
	Fence Fence

	Volumes Volumes
	// HostPorts may be nil: then no port of the node leads to a pod.
	HostPorts HostPorts

	// NetworkClear returns when it is known whether others use what the network of
	// a sandbox uses; then what was started in it goes before anybody is told that
	// it runs. nil knows of no others.
	NetworkClear func(ctx context.Context, sandbox string) error

	// SubPath makes a part of a volume mountable and returns its host path.
	SubPath func(ctx context.Context, s SubPath) (string, error)

	// Manifests is the folder of static pods; empty has none. BadManifest is told
	// of files there that describe no pod; nil tells nobody.
	Manifests   string
	BadManifest func(file string, err error)

	// LogLinks are for those who ship logs.
	LogLinks LogLinks

	// Events records events; nil makes a recorder that writes through Client.
	Events record.EventRecorder
	// CgroupParent is "/berth-<id of Dir>" unless set.
	CgroupParent string
	// ResolvConf is the node's own resolver file, "/etc/resolv.conf" unless set.
	ResolvConf string
	// LogSize is how long the log of a container grows before a new one is
	// begun, and LogFiles how many are kept; 0 lets logs grow.
	LogSize  int64
	LogFiles int
	// Pulled, when set, is told that an image has come.
	Pulled func()
	// Relist is how often the whole runtime is listed to repair what events
	// missed; 60 s unless set.
	Relist time.Duration
	Clock  clock.Clock
	Log    *slog.Logger
}

// Agent runs the pods of one node.
type Agent struct {
	cfg      Config
	cri      *cri.Client
	images   *image.Puller
	events   record.EventRecorder
	services cache.Store
	resolver podspec.Resolver
	memory   int64 // of the node, in bytes
	oomFloor int64 // the lowest oom_score_adj this process may give
	runtime  string

	ops sync.WaitGroup

	users     users
	admitting sync.Mutex    // one pod after the other
	counting  sync.Mutex    // guards tally; the last lock to be taken
	tally     *admit.Tally  // what the pods that count take of the node
	making    chan struct{} // holds one for each sandbox that is being made
	moved     chan struct{} // holds one when a pod has come or gone

	mu      sync.Mutex
	life    context.Context // Run's
	synced  bool            // the API's pods are known
	workers map[types.UID]*worker
	static  static
}

// New makes an agent; Run starts it.
func New(cfg Config) (*Agent, error) {
	switch {
	case cfg.NodeName == "":
		return nil, errors.New("node agent: no node name")
	case cfg.Client == nil:
		return nil, errors.New("node agent: no API client")
	case cfg.Volumes == nil:
		return nil, errors.New("node agent: no volumes")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Node == nil {
		cfg.Node = func() *corev1.Node { return nil }
	}
	if cfg.Pressure == nil {
		cfg.Pressure = func() []corev1.NodeConditionType { return nil }
	}
	if cfg.Closing == nil {
		cfg.Closing = func() bool { return false }
	}
	if cfg.CgroupParent == "" {
		cfg.CgroupParent = "/berth-" + cfg.Dir.ID()
	}
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	if cfg.MaxPods == 0 {
		cfg.MaxPods = 110
	}
	if cfg.Relist == 0 {
		cfg.Relist = time.Minute
	}
	if cfg.Runtime == nil {
		client, err := cri.Dial(cfg.Endpoint)
		if err != nil {
			return nil, err
		}
		cfg.Runtime = client
	}
	a := &Agent{cfg: cfg, cri: cfg.Runtime, workers: map[types.UID]*worker{}, making: make(chan struct{}, sandboxesAtOnce), moved: make(chan struct{}, 1), static: newStatic(), tally: admit.NewTally()}
	a.images = image.New(cfg.Runtime.Images, cfg.Client, cfg.Clock, cfg.Pulled)
	a.memory, a.oomFloor = machineMemory(), oomFloor()
	a.loadUsers()
	if text, err := os.ReadFile(cfg.ResolvConf); err == nil {
		a.resolver = podspec.ParseResolver(string(text))
	}
	return a, nil
}

// Run works until ctx ends; ready is called once the node's pods and what runs
// of them are known. It leaves containers running.
func (a *Agent) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopEvents := a.startEvents(ctx)
	defer stopEvents()

	name, err := a.cri.Name(ctx)
	if err != nil {
		return a.failure(ctx, err)
	}
	a.mu.Lock()
	a.runtime, a.life = name, ctx
	a.mu.Unlock()

	var parts sync.WaitGroup
	resubscribed := make(chan struct{}, 1)
	parts.Go(func() { a.stream(ctx, resubscribed) })
	if err := a.relist(ctx); err != nil {
		cancel()
		parts.Wait()
		return a.failure(ctx, err)
	}
	pods, services := a.informers()
	parts.Go(func() { pods.RunWithContext(ctx) })
	parts.Go(func() { services.RunWithContext(ctx) })
	parts.Go(func() { a.rotateLogs(ctx) })
	parts.Go(func() { a.followShares(ctx) })
	parts.Go(func() { a.followStatic(ctx) })
	parts.Go(func() { a.followMirrors(ctx) })
	if await(ctx, a.static.read) && await(ctx, pods.HasSyncedChecker().Done()) && (a.cfg.Registered == nil || await(ctx, a.cfg.Registered)) {
		a.adopt()
		if ready != nil {
			ready()
		}
		a.ops.Go(a.sweep)
		a.repair(ctx, resubscribed)
	}
	parts.Wait()
	a.drain()
	return nil
}

// await is true when done was closed before ctx ended.
func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// failure turns an error that only says that ctx ended into nil.
func (a *Agent) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("node agent: %w", err)
}

// drain waits a moment for work under way: all of it can be done again.
func (a *Agent) drain() {
	done := make(chan struct{})
	go func() {
		a.ops.Wait()
		close(done)
	}()
	timer := time.NewTimer(800 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// repair lists the runtime now and then.
func (a *Agent) repair(ctx context.Context, resubscribed <-chan struct{}) {
	timer := a.cfg.Clock.NewTimer(a.cfg.Relist)
	defer timer.Stop()
	for {
		wait := a.cfg.Relist
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
		case <-resubscribed:
			// The stream tells nothing of what happened before it began.
			wait = 2 * time.Second
		}
		if err := a.relist(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("listing the container runtime failed", "error", err)
			wait = min(wait, 5*time.Second)
		}
		timer.Stop()
		timer = a.cfg.Clock.NewTimer(wait)
	}
}

// VolumesChanged says that something a pod's volumes wait for has changed.
func (a *Agent) VolumesChanged(uid types.UID) {
	if w := a.find(uid); w != nil {
		w.volumesChanged()
	}
}

// VolumeEvent records what became of a volume of a pod that runs.
func (a *Agent) VolumeEvent(pod *corev1.Pod, kind, reason, message string) {
	a.event(pod, "", kind, reason, message)
}

func (a *Agent) hostIPs() []string {
	var out []string
	for _, ip := range a.cfg.NodeIPs {
		out = append(out, ip.String())
	}
	return out
}
