// Package volume puts a pod's volumes on the node's disk and takes them away
// again, in the kubelet's layout: ROOT/pods/UID/volumes/kubernetes.io~PLUGIN/NAME.
//
// All state is on the disk: Setup and TearDown can be killed anywhere and are
// simply called again. While a pod is set up, its ConfigMaps, Secrets and tokens
// are followed and its files replaced in one step when they change.
package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/node/csi"
)

// Config is what the volumes of one node need.
type Config struct {
	// Root is the node agent's directory (upstream's /var/lib/kubelet).
	Root string
	// VolumesDir holds the local provisioner's volumes. One that was never used
	// is made there; a local volume that is missing otherwise is an error.
	VolumesDir string
	// Begun writes down that a provisioned volume has its folder.
	Begun func(context.Context, *corev1.PersistentVolume) error
	// NodeName is this node's name.
	NodeName string
	// Client talks to the API server as this node.
	Client kubernetes.Interface
	// Node returns the node's object as last seen, or nil: its labels decide
	// whether a volume may be used here, its allocatable resources stand in
	// for limits that a container does not set.
	Node func() *corev1.Node
	// Drivers are the storage drivers that are registered here; nil has none.
	Drivers *csi.Registry
	// Notes are those below Root; nil opens them.
	Notes *Notes
	// InUseChanged, when set, is told that Notes.InUse has another answer.
	InUseChanged func()
	// Event, when set, records an event about a pod that runs.
	Event func(pod *corev1.Pod, kind, reason, message string)
	// Changed, when set, is told that something a pod's volumes need has
	// changed, so that a Setup that failed can be tried again at once.
	Changed func(types.UID)
	Clock   clock.WithTicker
	Log     *slog.Logger

	// syncWait is how long Setup waits for the first answer about an object,
	// missingWait for an object that is not there yet, claimWait for a claim
	// to be bound.
	syncWait, missingWait, claimWait time.Duration
}

// Volumes sets up and tears down the volumes of this node's pods.
type Volumes struct {
	cfg     Config
	started chan struct{}
	life    context.Context // Run's, set before started is closed
	queue   workqueue.TypedRateLimitingInterface[types.UID]
	follows *follows

	certificates certificates

	blocks sync.Mutex // the devices of provisioned volumes
	alone  alone
	drives drives
	here   here
	notes  *Notes
	left   chan struct{} // holds one when volumes may be staged for nobody

	mu   sync.Mutex
	pods map[types.UID]*podState
}

// podState is what is remembered of a pod between Setup and TearDown; losing
// it costs a Setup, nothing else.
type podState struct {
	cancel context.CancelFunc // of the Setup under way, guarded by Volumes.mu
	files  map[string]Files   // by the volume's name, guarded by Volumes.mu
	driven map[string]ref     // volumes of storage drivers, with their claims, guarded by Volumes.mu

	mu    sync.Mutex
	pod   *corev1.Pod // as last given to Setup
	ready bool        // a Setup has succeeded
	gone  bool        // torn down: whoever waited for mu must not write any more
}

// New makes the volumes of one node. Setup waits until Run is called.
func New(cfg Config) *Volumes {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Node == nil {
		cfg.Node = func() *corev1.Node { return nil }
	}
	if cfg.Notes == nil {
		cfg.Notes = OpenNotes(cfg.Root)
	}
	setDefault(&cfg.syncWait, 10*time.Second)
	setDefault(&cfg.missingWait, time.Second)
	setDefault(&cfg.claimWait, 2*time.Minute+3*time.Second)
	v := &Volumes{
		cfg:     cfg,
		notes:   cfg.Notes,
		started: make(chan struct{}),
		pods:    map[types.UID]*podState{},
		left:    make(chan struct{}, 1),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](time.Second, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[types.UID]{Clock: cfg.Clock},
		),
	}
	v.follows = newFollows(cfg.Client, cfg.NodeName, cfg.Clock, cfg.Log, v.changed)
	return v
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Run keeps the files of all pods up to date until ctx ends. Call it once.
func (v *Volumes) Run(ctx context.Context) error {
	v.life = ctx
	v.dropShares()
	close(v.started)
	stop := context.AfterFunc(ctx, v.queue.ShutDown)
	defer stop()
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for v.refreshNext(ctx) {
			}
		})
	}
	workers.Go(func() { v.followLeft(ctx) })
	workers.Wait()
	v.follows.wait()
	return nil
}

// changed is called when an object that these pods use has changed.
func (v *Volumes) changed(users []types.UID) {
	for _, uid := range users {
		v.queue.Add(uid)
		if v.cfg.Changed != nil {
			v.cfg.Changed(uid)
		}
	}
}

func (v *Volumes) refreshNext(ctx context.Context) bool {
	uid, closed := v.queue.Get()
	if closed {
		return false
	}
	defer v.queue.Done(uid)
	if err := v.refresh(ctx, uid); err != nil && ctx.Err() == nil {
		v.cfg.Log.Warn("cannot update the volumes of a pod; its files stay as they are", "uid", uid, "error", err)
		v.queue.AddRateLimited(uid)
		return true
	}
	v.queue.Forget(uid)
	return true
}

// refresh writes what may have changed since the pod was set up.
func (v *Volumes) refresh(ctx context.Context, uid types.UID) error {
	v.mu.Lock()
	st := v.pods[uid]
	v.mu.Unlock()
	if st == nil {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone || !st.ready {
		return nil // the agent calls Setup again
	}
	var errs []error
	for _, vol := range mounted(st.pod) {
		if isContent(vol) || v.isDriven(uid, vol.Name) {
			if _, err := v.setupOne(ctx, st.pod, vol); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Setup makes the volumes that the pod's containers mount and returns the host
// path of each by the volume's name. It is idempotent and cheap when nothing
// has changed: call it again when the pod's labels, annotations or resources
// have changed, and once for each running pod after a start of the agent.
//
// The error is one Error, or several joined, in the kubelet's words.
func (v *Volumes) Setup(ctx context.Context, pod *corev1.Pod) (map[string]string, error) {
	select {
	case <-v.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.mu.Lock()
	st := v.pods[pod.UID]
	if st == nil {
		st = &podState{}
		v.pods[pod.UID] = st
	}
	st.cancel = cancel
	v.mu.Unlock()

	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone {
		return nil, fmt.Errorf("pod %s/%s (%s) has been torn down", pod.Namespace, pod.Name, pod.UID)
	}
	if err := v.makePodDir(pod.UID); err != nil {
		return nil, err
	}
	st.pod = pod
	volumes := mounted(pod)
	v.follows.use(v.life, pod.UID, slices.Concat(references(pod.Namespace, volumes), v.certificates.asked(pod.UID), v.drivenClaims(pod.UID)))
	paths, err := v.setupAll(ctx, pod, volumes)
	if err != nil {
		return nil, err
	}
	st.ready = true
	return paths, nil
}

// setupAll makes the volumes side by side: each may wait for the API server.
func (v *Volumes) setupAll(ctx context.Context, pod *corev1.Pod, volumes []corev1.Volume) (map[string]string, error) {
	paths := make([]string, len(volumes))
	errs := make([]error, len(volumes))
	var wg sync.WaitGroup
	for i, vol := range volumes {
		wg.Go(func() { paths[i], errs[i] = v.setupOne(ctx, pod, vol) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	byName := make(map[string]string, len(volumes))
	for i, vol := range volumes {
		if paths[i] != "" {
			byName[vol.Name] = paths[i]
		}
	}
	return byName, nil
}

// mounted returns the volumes that a container of the pod mounts; the others
// are ignored, as upstream does, however wrong they are.
func mounted(pod *corev1.Pod) []corev1.Volume {
	used := map[string]bool{}
	note := func(mounts []corev1.VolumeMount, devices []corev1.VolumeDevice) {
		for _, m := range mounts {
			used[m.Name] = true
		}
		for _, d := range devices {
			used[d.Name] = true
		}
	}
	for _, c := range pod.Spec.InitContainers {
		note(c.VolumeMounts, c.VolumeDevices)
	}
	for _, c := range pod.Spec.Containers {
		note(c.VolumeMounts, c.VolumeDevices)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		note(c.VolumeMounts, c.VolumeDevices)
	}
	var out []corev1.Volume
	for _, vol := range pod.Spec.Volumes {
		if used[vol.Name] {
			out = append(out, vol)
		}
	}
	return out
}
