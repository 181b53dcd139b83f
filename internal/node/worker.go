package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/probe"
	"berth.dev/berth/internal/node/status"
	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	planprobe "berth.dev/berth/internal/plan/probe"
	"berth.dev/berth/internal/plan/resize"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// worker brings one pod to what is wanted of it.
type worker struct {
	agent  *Agent
	uid    types.UID
	wake   chan struct{}
	writer *status.Writer

	// ctx ends with the agent; going ends as soon as the pod is to end, and
	// with it every piece of work that only serves a pod that stays.
	ctx   context.Context
	going context.Context
	end   context.CancelFunc

	// Only run uses these.
	said   map[string]time.Time  // holds that an event told of
	mapped []podspec.PortMapping // the node's ports that lead here
	look   time.Time             // when to look again for images that could not be had
	sets   map[string]*probe.Set
	timer  clock.Timer

	mu         sync.Mutex
	pod        *corev1.Pod // as the API last showed it, or as labels tell
	known      bool        // the API has shown the pod
	absent     bool        // the API has no such pod
	admitted   bool        // the node has looked at the pod
	uncounted  bool        // it is no more in the node's tally
	promised   bool        // the node takes the pod when others have made room
	kill       *podsync.Kill
	quiet      chan struct{} // closed once nothing runs of a pod that the node ends
	hushed     bool          // quiet is closed
	down       chan struct{} // closed once its volumes are down, too
	downed     bool
	sandboxes  map[string]podsync.Sandbox
	containers map[string]cri.Record
	forgotten  map[string]bool // IDs that were removed: late news must not bring them back
	volumes    podsync.Volumes
	paths      map[string]string
	mounts     int64 // how often volumes were asked for again
	records    map[string]podsync.Record
	sandboxRec podsync.Record
	probes     map[string]planprobe.Verdicts
	busy       podsync.Busy
	stops      map[string]context.CancelFunc
	hooked     map[string]<-chan struct{} // preStop hooks begun ahead, closed when they end
	stopped    map[string]bool
	waits      map[string]time.Time
	stays      stays // volumes that cannot be taken down
	deleted    bool
	last       *corev1.PodStatus

	// mirror is what the API shows of a static pod, nil for others and as long
	// as it shows nothing; mirrored is the one that writer writes to.
	static   bool
	mirror   *corev1.Pod
	mirrored types.UID

	// asked is the pod as the API shows it; pod asks for what it was given.
	asked  *corev1.Pod
	given  *resize.Allocation
	resize podsync.Resize
	// actual is what containers run with, by ID.
	actual map[string]corev1.ResourceRequirements
	// unproven is the container whose network may still turn out to be another's.
	unproven string
}

func newWorker(a *Agent, uid types.UID, about *corev1.Pod) *worker {
	w := &worker{
		agent: a, uid: uid, pod: about, wake: make(chan struct{}, 1), quiet: make(chan struct{}), down: make(chan struct{}),
		writer: status.New(a.cfg.Client, a.cfg.Clock, a.cfg.Log),
		said:   map[string]time.Time{}, sets: map[string]*probe.Set{},
		sandboxes: map[string]podsync.Sandbox{}, containers: map[string]cri.Record{},
		forgotten: map[string]bool{}, records: map[string]podsync.Record{},
		probes: map[string]planprobe.Verdicts{}, stops: map[string]context.CancelFunc{}, hooked: map[string]<-chan struct{}{},
		stopped: map[string]bool{}, waits: map[string]time.Time{},
		busy:   podsync.Busy{Stops: map[string]int64{}, Removes: map[string]bool{}, Resizes: map[string]bool{}, Hooked: map[string]bool{}},
		actual: map[string]corev1.ResourceRequirements{},
		ctx:    a.life,
	}
	w.going, w.end = context.WithCancel(w.ctx)
	return w
}

// poke wakes the worker.
func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// looked is true once the node has taken or refused the pod.
func (w *worker) looked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.admitted
}

// change runs f under the lock and wakes the worker.
func (w *worker) change(f func()) {
	w.mu.Lock()
	f()
	w.count()
	w.mu.Unlock()
	w.poke()
}

func (w *worker) setPod(pod *corev1.Pod) {
	w.change(func() {
		if w.known && w.volumes.Ready && (!maps.Equal(w.pod.Labels, pod.Labels) || !maps.Equal(w.pod.Annotations, pod.Annotations) ||
			len(w.pod.Spec.EphemeralContainers) != len(pod.Spec.EphemeralContainers)) {
			w.mounts++ // the downward API shows them; a container added later may be the first to mount a volume
		}
		w.pod, w.asked, w.known, w.absent = pod, pod, true, false
		if w.given != nil {
			w.pod = w.given.Apply(pod)
		}
	})
}

// setAbsent says that the API object was taken away by force while the agent
// looked on. A successor may already run elsewhere: only a short grace is left.
func (w *worker) setAbsent(pod *corev1.Pod) {
	w.change(func() {
		if w.known {
			w.pod = pod.DeepCopy()
			w.pod.DeletionGracePeriodSeconds = new(int64)
		}
		w.absent = true
	})
}

// orphaned says that the API's pods are known; one that is not among them has
// to end.
func (w *worker) orphaned() {
	w.change(func() {
		if !w.known {
			w.absent = true
		}
	})
}

// rebuild makes a pod that the API never showed from the records of its
// containers. The lock is held.
func (w *worker) rebuild() {
	if w.known {
		return
	}
	records := slices.Collect(maps.Values(w.containers))
	slices.SortFunc(records, func(a, b cri.Record) int { return int(b.Attempt - a.Attempt) })
	w.pod = cri.Orphan(map[string]string{
		cri.LabelPodName: w.pod.Name, cri.LabelPodNamespace: w.pod.Namespace, cri.LabelPodUID: string(w.uid),
	}, records)
}

func (w *worker) volumesChanged() {
	w.change(func() {
		if f := w.volumes.Failure; f != nil {
			again := *f
			again.Retry = w.agent.cfg.Clock.Now()
			w.volumes.Failure = &again
		}
		delete(w.waits, "volumes")
	})
}

// latest is the pod with the status decided last.
func (w *worker) latest() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return nil
	}
	pod := *w.pod
	if w.last != nil {
		pod.Status = *w.last
	}
	return &pod
}

// merge takes records of the runtime in. News may come late and twice: a record
// only ever moves forward.
func (w *worker) merge(sandboxes []podsync.Sandbox, records []cri.Record) {
	w.change(func() {
		for _, sb := range sandboxes {
			old, known := w.sandboxes[sb.ID]
			if w.forgotten[sb.ID] || known && !old.Ready {
				continue
			}
			if len(sb.IPs) == 0 {
				sb.IPs = old.IPs
			}
			w.sandboxes[sb.ID] = sb
		}
		for _, r := range records {
			old, known := w.containers[r.ID]
			if w.forgotten[r.ID] || known && rank[old.Phase] >= rank[r.Phase] {
				continue
			}
			r.Message = cri.Message(r)
			w.containers[r.ID] = r
		}
	})
}

var rank = map[podsync.Phase]int{podsync.Created: 1, podsync.Running: 2, podsync.Exited: 3}

// forget drops a container, or a sandbox with all that was in it.
func (w *worker) forget(id string) {
	w.mu.Lock()
	_, sandbox := w.sandboxes[id]
	_, container := w.containers[id]
	if sandbox || container {
		w.forgotten[id] = true
		delete(w.sandboxes, id)
		delete(w.containers, id)
		delete(w.actual, id)
		for other, r := range w.containers {
			if r.SandboxID == id {
				w.forgotten[other] = true
				delete(w.containers, other)
			}
		}
	}
	w.mu.Unlock()
	if sandbox || container {
		w.poke()
	}
}

// prune drops the tombstones of records that the runtime has no more.
func (w *worker) prune(present map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.forgotten, func(id string, _ bool) bool { return !present[id] })
}

func (w *worker) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Collect(maps.Keys(w.sandboxes))
	return slices.AppendSeq(out, maps.Keys(w.containers))
}
