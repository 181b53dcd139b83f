// Package evict keeps a node from running out of memory, disk or process IDs:
// it looks at what there is, says what the node is under, and ends one pod
// after the other until there is enough. What goes is decided by
// internal/plan/evict.
package evict

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/plan/evict"
	"berth.dev/berth/internal/plan/podsync"
)

const (
	// often is how often the machine is looked at, soon how often when it may
	// soon run out of something.
	often = 10 * time.Second
	soon  = time.Second
	// patience is how long to wait for a pod that was ended before another is.
	patience = 30 * time.Second
	// measuring is how long the pods' use may take to be measured.
	measuring = 30 * time.Second
)

// Pods is what ends pods.
type Pods interface {
	// Running are the pods that have something running.
	Running() []*corev1.Pod
	// End ends a pod and records the event; the channel is closed when nothing
	// of it runs any more.
	End(uid types.UID, kill podsync.Kill) <-chan struct{}
}

// Config is what an Evictor needs.
type Config struct {
	evict.Config
	Dir datadir.Dir
	// State is the folder below which the runtime mounts containers.
	State   string
	Runtime runtimeapi.RuntimeServiceClient
	Pods    Pods
	// Observe looks at the machine.
	Observe func() map[evict.Signal]evict.Observation
	// Reclaim makes room on the disk without ending a pod; nil knows no way.
	Reclaim func(context.Context) error
	// Changed is called when the conditions have.
	Changed func()
	// Event records an event about the node.
	Event func(kind, reason, message string)
	Clock clock.Clock
	Log   *slog.Logger
}

// Evictor watches over one node.
type Evictor struct {
	cfg    Config
	memory evict.Memory

	mu         sync.Mutex
	conditions []corev1.NodeConditionType
	looked     bool
}

// New makes an evictor; Run does the work.
func New(cfg Config) *Evictor {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Evictor{cfg: cfg}
}

// Pressure are the conditions that the node is under, once it was looked at.
func (e *Evictor) Pressure() (under []corev1.NodeConditionType, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conditions, e.looked
}

// Run looks at the machine until ctx ends.
func (e *Evictor) Run(ctx context.Context) error {
	for {
		wait := e.look(ctx)
		timer := e.cfg.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

// look does what has to be done now and says when to look again.
func (e *Evictor) look(ctx context.Context) time.Duration {
	seen := e.cfg.Observe()
	var v evict.Verdict
	e.memory, v = e.cfg.Look(e.memory, seen, e.cfg.Clock.Now())
	e.mu.Lock()
	changed := !e.looked || !slices.Equal(e.conditions, v.Conditions)
	e.conditions, e.looked = v.Conditions, true
	e.mu.Unlock()
	if changed {
		e.cfg.Changed()
	}
	if e.enforce(ctx) {
		return soon
	}
	if v.Reclaim != nil && e.reclaim(ctx, *v.Reclaim, seen[v.Reclaim.Signal]) {
		return soon
	}
	if v.Close {
		return soon
	}
	return often
}

// enforce ends pods that have taken more disk than they may. Nothing is
// measured while no pod has a limit.
func (e *Evictor) enforce(ctx context.Context) bool {
	limited := slices.DeleteFunc(e.cfg.Pods.Running(), func(p *corev1.Pod) bool { return !evict.Limited(p) })
	if len(limited) == 0 {
		return false
	}
	pods, err := e.use(ctx, limited, what{disk: true})
	if err != nil {
		return false
	}
	ended := false
	for i := range pods {
		if kill := evict.Exceeds(&pods[i]); kill != nil {
			e.end(ctx, pods[i].Pod, *kill)
			ended = true
		}
	}
	return ended
}

// reclaim ends the pod that goes first, unless there is another way.
func (e *Evictor) reclaim(ctx context.Context, t evict.Threshold, o evict.Observation) bool {
	disk := t.Signal.Condition() == corev1.NodeDiskPressure
	e.cfg.Event(corev1.EventTypeWarning, "EvictionThresholdMet", fmt.Sprintf("Attempting to reclaim %s", t.Signal.Resource()))
	if disk && e.cfg.Reclaim != nil {
		if err := e.cfg.Reclaim(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Warn("making room on the disk failed", "error", err)
		}
		if now, ok := e.cfg.Observe()[t.Signal]; ok && now.Available >= t.Least.Of(now.Capacity)+t.Reclaim.Of(now.Capacity) {
			return true
		}
	}
	running := e.cfg.Pods.Running()
	if len(running) == 0 {
		return false
	}
	pods, err := e.use(ctx, running, what{memory: true, disk: disk})
	if err != nil {
		return false
	}
	victim, kill := e.cfg.Victim(t, o, pods)
	if victim == nil {
		return false
	}
	e.end(ctx, victim.Pod, kill)
	return true
}

func (e *Evictor) use(ctx context.Context, pods []*corev1.Pod, w what) ([]evict.Pod, error) {
	limited, cancel := context.WithTimeout(ctx, measuring)
	defer cancel()
	used, err := e.measure(limited, pods, w)
	if err != nil && ctx.Err() == nil {
		e.cfg.Log.Warn("what pods use could not be measured", "error", err)
	}
	return used, err
}

// end ends a pod and waits for its end.
func (e *Evictor) end(ctx context.Context, pod *corev1.Pod, kill podsync.Kill) {
	e.cfg.Log.Warn("evicting a pod", "pod", pod.Namespace+"/"+pod.Name, "why", kill.Message)
	timer := e.cfg.Clock.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-e.cfg.Pods.End(pod.UID, kill):
	case <-timer.C():
	case <-ctx.Done():
	}
}
