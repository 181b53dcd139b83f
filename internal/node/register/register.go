// Package register keeps the node's object and its lease in the API: it
// registers the node, reports capacity and conditions in the kubelet's words,
// and renews the lease. It writes when something has changed, and every five
// minutes.
package register

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// VolumesDirAnnotation tells the local provisioner where this node keeps volumes.
const VolumesDirAnnotation = "berth.dev/volumes-dir"

// managedAttach says that the control plane attaches volumes to the node, and not
// the node itself.
const managedAttach = "volumes.kubernetes.io/controller-managed-attach-detach"

const (
	// controlPlaneLabel has the value that k3s gives it; upstream's tools look
	// only for the key.
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"

	leaseSeconds  = 40
	leaseInterval = 10 * time.Second
	checkInterval = 10 * time.Second // looks at memory, disk and PIDs
	postInterval  = 5 * time.Minute  // posts though nothing has changed
)

// Config says what the node is.
type Config struct {
	Name   string
	Client kubernetes.Interface
	// Labeler, when set, adds the role labels: upstream's NodeRestriction
	// does not let a node give them to itself.
	Labeler      kubernetes.Interface
	ControlPlane bool

	// Hostname is reported as an address and a label; Name unless set.
	Hostname    string
	Labels      map[string]string // more labels, given at registration
	Annotations map[string]string
	Taints      []corev1.Taint // given when the node is first registered

	// Addresses are the node's IPs, the main one of each family.
	Addresses []string
	// Port is the node agent's HTTPS port.
	Port int32
	// VolumesDir is where the local provisioner's volumes lie on this node.
	VolumesDir string
	// DataDir is on the file system whose size is the ephemeral storage.
	DataDir string
	// Version is the kubelet version to report, "v1.37.2+berth1".
	Version string

	MaxPods int64 // 110 unless set
	// Reserved is what pods may not have (system and kube reserved together).
	Reserved corev1.ResourceList
	// Eviction holds the hard thresholds; DefaultEviction unless set.
	Eviction *Eviction

	// Pressure are the conditions that the node is under, and whether that is
	// known yet; until then the node shows what it showed before. nil is none.
	Pressure func() (under []corev1.NodeConditionType, known bool)

	// Ready tells whether pods can run; when not, message says why
	// ("container runtime network not ready: …").
	Ready func() (ready bool, reason, message string)
	// Renewals, when set, gives each renewal of the node's lease its promise.
	Renewals Renewals
	// Conditions, when set, are more conditions of the node.
	Conditions func() []corev1.NodeCondition
	// VolumesInUse, when set, are the attached volumes that the node may have in use.
	VolumesInUse func() []corev1.UniqueVolumeName
	// Images, when set, lists the images on the node.
	Images func() []corev1.ContainerImage
	// Runtime tells about the container runtime, once it is known.
	Runtime func() Runtime
	// Event, when set, records an event about the node.
	Event func(kind, reason, message string)

	Clock clock.WithTicker
	Log   *slog.Logger

	probe probe // of the machine; replaced by tests
}

// Runtime is what the node reports of its container runtime.
type Runtime struct {
	Version  string // "containerd://2.4.2"
	Handlers []corev1.NodeRuntimeHandler
	Features *corev1.NodeFeatures
}

// Registration is the node's presence in the API.
type Registration struct {
	cfg     Config
	trigger chan struct{}
	renew   chan struct{}
	// registered is closed when node is first known.
	registered chan struct{}
	known      sync.Once

	mu   sync.Mutex
	node *corev1.Node // as the API server last had it
}

// New makes a registration; Run does the work.
func New(cfg Config) *Registration {
	if cfg.Hostname == "" {
		cfg.Hostname = cfg.Name
	}
	if cfg.MaxPods == 0 {
		cfg.MaxPods = 110
	}
	if cfg.Eviction == nil {
		cfg.Eviction = DefaultEviction()
	}
	if cfg.Pressure == nil {
		cfg.Pressure = func() ([]corev1.NodeConditionType, bool) { return nil, true }
	}
	if cfg.Ready == nil {
		cfg.Ready = func() (bool, string, string) { return true, "", "" }
	}
	if cfg.Runtime == nil {
		cfg.Runtime = func() Runtime { return Runtime{} }
	}
	if cfg.Images == nil {
		cfg.Images = func() []corev1.ContainerImage { return nil }
	}
	if cfg.Event == nil {
		cfg.Event = func(string, string, string) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.probe == nil {
		cfg.probe = machine{cfg.DataDir}
	}
	return &Registration{cfg: cfg, trigger: make(chan struct{}, 1), renew: make(chan struct{}, 1), registered: make(chan struct{})}
}

// Trigger looks at the node at once, for example when the runtime became ready.
func (r *Registration) Trigger() {
	select {
	case r.trigger <- struct{}{}:
	default:
	}
}

// Node is the node's object as the API server last had it, nil before it is
// registered. It is shared: do not change it.
func (r *Registration) Node() *corev1.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node
}

// Seen is told what the API server has of this node. When nothing was heard of a
// node for a while, its conditions are set to Unknown by who watches over nodes: that
// is put right as soon as the node hears of it, not by the next heartbeat.
func (r *Registration) Seen(node *corev1.Node) {
	if !slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Status == corev1.ConditionUnknown && c.Reason == "NodeStatusUnknown"
	}) {
		return
	}
	r.mu.Lock()
	ours := r.node != nil && r.node.UID == node.UID
	if ours {
		r.node = node
	}
	r.mu.Unlock()
	if ours {
		r.Trigger()
	}
}

// Registered is closed once the node is in the API.
func (r *Registration) Registered() <-chan struct{} { return r.registered }

// Run registers the node and keeps it up to date until ctx ends.
func (r *Registration) Run(ctx context.Context) error {
	var leasing sync.WaitGroup
	defer leasing.Wait()
	leased := false
	check := r.cfg.Clock.NewTicker(checkInterval)
	defer check.Stop()
	retry := backoff{shortest: 20 * time.Millisecond, longest: 7 * time.Second}
	var posted time.Time
	for {
		again := (<-chan time.Time)(nil)
		wrote, err := r.sync(ctx, r.cfg.Clock.Since(posted) >= postInterval)
		if err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("cannot report this node to the API server, trying again", "node", r.cfg.Name, "error", err)
			again = r.cfg.Clock.After(retry.next())
		}
		if err == nil {
			retry.reset()
			if wrote {
				posted = r.cfg.Clock.Now()
			}
			if !leased {
				leased = true
				leasing.Go(func() { r.lease(ctx) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.trigger:
		case <-check.C():
		case <-again:
		}
	}
}

// sync brings the node's object up to date and says whether it wrote.
func (r *Registration) sync(ctx context.Context, post bool) (bool, error) {
	old := r.Node()
	if old == nil {
		return true, r.register(ctx)
	}
	node := old.DeepCopy()
	r.describe(node)
	if !post && unchanged(old, node) {
		return false, nil
	}
	patched, err := r.patch(ctx, old, node, "status")
	if apierrors.IsNotFound(err) {
		r.set(nil) // somebody deleted it, and we are still here
		return true, r.register(ctx)
	}
	if err != nil {
		return false, err
	}
	r.set(patched)
	r.tell(old, patched)
	return true, nil
}

// register creates the object, or takes over the one that is there.
func (r *Registration) register(ctx context.Context) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: r.cfg.Name, Annotations: map[string]string{}}}
	r.identify(node)
	node.Spec.Taints = r.cfg.Taints
	r.describe(node)
	nodes := r.cfg.Client.CoreV1().Nodes()
	created, err := nodes.Create(ctx, node, metav1.CreateOptions{})
	if err == nil {
		r.set(created)
		r.cfg.Event(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
		r.tell(nil, created)
		return r.role(ctx, created)
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("register node %s: %w", r.cfg.Name, err)
	}
	old, err := nodes.Get(ctx, r.cfg.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read node %s: %w", r.cfg.Name, err)
	}
	meta := old.DeepCopy()
	r.identify(meta)
	if !equality.Semantic.DeepEqual(old.ObjectMeta, meta.ObjectMeta) {
		if meta, err = r.patch(ctx, old, meta, ""); err != nil {
			return err
		}
	}
	node = meta.DeepCopy()
	r.describe(node)
	if node, err = r.patch(ctx, meta, node, "status"); err != nil {
		return err
	}
	r.set(node)
	r.cfg.Event(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	r.tell(old, node)
	return r.role(ctx, node)
}

// role gives the node its role label, with the control plane's own rights.
func (r *Registration) role(ctx context.Context, node *corev1.Node) error {
	if _, has := node.Labels[controlPlaneLabel]; has || !r.cfg.ControlPlane || r.cfg.Labeler == nil {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, controlPlaneLabel)
	node, err := r.cfg.Labeler.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("label node %s: %w", r.cfg.Name, err)
	}
	r.set(node)
	return nil
}

// patch writes only what we changed, so that nobody else's writes are lost.
func (r *Registration) patch(ctx context.Context, old, node *corev1.Node, subresource string) (*corev1.Node, error) {
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(node)
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	if err != nil {
		return nil, err
	}
	if string(patch) == "{}" {
		return old, nil
	}
	var subresources []string
	if subresource != "" {
		subresources = []string{subresource}
	}
	patched, err := r.cfg.Client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, subresources...)
	if err != nil {
		return nil, fmt.Errorf("update node %s: %w", node.Name, err)
	}
	return patched, nil
}

func (r *Registration) set(node *corev1.Node) {
	r.mu.Lock()
	r.node = node
	r.mu.Unlock()
	if node != nil {
		r.known.Do(func() { close(r.registered) })
	}
}

// identify sets labels and annotations; labels given by others stay.
func (r *Registration) identify(node *corev1.Node) {
	host := r.cfg.probe.host()
	labels := map[string]string{
		corev1.LabelHostname:      r.cfg.Hostname,
		corev1.LabelOSStable:      host.OperatingSystem,
		corev1.LabelArchStable:    host.Architecture,
		"beta.kubernetes.io/os":   host.OperatingSystem,
		"beta.kubernetes.io/arch": host.Architecture,
	}
	maps.Copy(labels, r.cfg.Labels)
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	maps.Copy(node.Labels, labels)
	annotations := map[string]string{managedAttach: "true"}
	if r.cfg.VolumesDir != "" {
		annotations[VolumesDirAnnotation] = r.cfg.VolumesDir
	}
	maps.Copy(annotations, r.cfg.Annotations)
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	maps.Copy(node.Annotations, annotations)
}

// unchanged compares all but heartbeat times.
func unchanged(old, node *corev1.Node) bool {
	a, b := old.Status.DeepCopy(), node.Status.DeepCopy()
	for _, status := range []*corev1.NodeStatus{a, b} {
		for i := range status.Conditions {
			status.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return equality.Semantic.DeepEqual(a, b)
}

// backoff doubles its answer.
type backoff struct{ shortest, longest, last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, b.shortest), b.longest)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }

// quantity is n bytes in the kubelet's notation.
func quantity(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.BinarySI) }
