package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	manifests "berth.dev/berth/internal/node/staticpod"
	"berth.dev/berth/internal/node/status"
	"berth.dev/berth/internal/plan/staticpod"
)

// patience is how long a static pod that runs is left alone for its mirror to
// say how far it is. One of which nothing runs is begun without the API.
const patience = 10 * time.Second

// static is what an agent knows of static pods. The agent's lock holds for it.
type static struct {
	read   chan struct{} // closed once the folder was read
	once   bool
	late   bool          // patience is over
	wanted []*corev1.Pod // as files describe them
	// mirrors are those that the API has, by name.
	mirrors map[types.NamespacedName]*corev1.Pod
	moved   chan struct{} // holds one when the mirrors have to be looked at
	placing chan struct{} // holds one while pods are placed
}

func newStatic() static {
	return static{
		read: make(chan struct{}), moved: make(chan struct{}, 1), placing: make(chan struct{}, 1),
		mirrors: map[types.NamespacedName]*corev1.Pod{},
	}
}

func nameOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

// followStatic keeps the static pods what the files say.
func (a *Agent) followStatic(ctx context.Context) {
	if a.cfg.Manifests == "" {
		close(a.static.read)
		return
	}
	timer := a.cfg.Clock.NewTimer(patience)
	defer timer.Stop()
	a.ops.Go(func() {
		if awaitTime(ctx, timer.C()) {
			a.mu.Lock()
			a.static.late = true
			a.mu.Unlock()
			a.placeStatic()
		}
	})
	from := manifests.Source{Dir: a.cfg.Manifests, Node: a.cfg.NodeName, Refused: a.cfg.BadManifest, Clock: a.cfg.Clock, Log: a.cfg.Log}
	from.Run(ctx, a.setStatic)
}

func awaitTime(ctx context.Context, at <-chan time.Time) bool {
	select {
	case <-at:
		return true
	case <-ctx.Done():
		return false
	}
}

// setStatic takes in what the files say.
func (a *Agent) setStatic(pods []*corev1.Pod) {
	a.mu.Lock()
	names := map[types.NamespacedName]bool{}
	a.static.wanted = slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool {
		twice := names[nameOf(p)]
		names[nameOf(p)] = true
		return twice
	})
	first := !a.static.once
	a.static.once = true
	a.mu.Unlock()
	if len(names) < len(pods) {
		a.cfg.Log.Warn("several files describe a static pod of the same name: the first of them counts", "folder", a.cfg.Manifests)
	}
	a.placeStatic()
	if first {
		close(a.static.read)
	}
}

// placeStatic begins the static pods that can be begun, and ends those that no
// file describes any more.
func (a *Agent) placeStatic() {
	a.static.placing <- struct{}{}
	defer func() { <-a.static.placing }()
	a.mu.Lock()
	known, wanted, wait := a.static.once, a.static.wanted, !a.synced && !a.static.late
	a.mu.Unlock()
	if !known {
		return
	}
	workers := map[types.NamespacedName][]*worker{}
	for _, w := range a.all() {
		key := nameOf(w.shown())
		workers[key] = append(workers[key], w)
	}
	for _, list := range workers {
		for _, w := range list {
			if !slices.ContainsFunc(wanted, func(p *corev1.Pod) bool { return p.UID == w.uid }) {
				w.endStatic(a.cfg.Clock.Now())
			}
		}
	}
	for _, pod := range wanted {
		others := workers[nameOf(pod)]
		mine := a.find(pod.UID)
		if slices.ContainsFunc(others, func(w *worker) bool { return w != mine }) || mine != nil && (mine.isStatic() || wait && mine.begun()) {
			continue
		}
		a.beginStatic(pod)
	}
	a.lookAtMirrors()
}

func (a *Agent) beginStatic(pod *corev1.Pod) {
	w := a.worker(pod.UID, pod)
	begun := w.begun()
	w.change(func() { w.static = true }) // from now on it is told of its mirror
	a.mu.Lock()
	mirror := a.static.mirrors[nameOf(pod)]
	a.mu.Unlock()
	pod = pod.DeepCopy()
	if mirror != nil && staticpod.Identity(mirror) == pod.UID {
		w.change(func() { w.mirror = cmp.Or(w.mirror, mirror) })
		if begun {
			pod.Status = staticpod.Begin(mirror)
		}
	}
	w.setPod(pod)
	a.admit(w, pod)
}

func (w *worker) isStatic() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.static
}

// endStatic gives a static pod whose file is gone its time to end.
func (w *worker) endStatic(now time.Time) {
	if !w.isStatic() {
		return
	}
	w.change(func() {
		if w.absent {
			return
		}
		w.pod = w.pod.DeepCopy()
		grace := ptr.Deref(w.pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
		w.pod.DeletionTimestamp = ptr.To(metav1.NewTime(now.Add(time.Duration(grace) * time.Second)))
		w.pod.DeletionGracePeriodSeconds = &grace
		w.absent = true
	})
}

// overStatic lets a static pod of the same name begin when this one is over, and
// takes away what the API shows of it.
func (a *Agent) overStatic() {
	a.mu.Lock()
	any := len(a.static.wanted)+len(a.static.mirrors) > 0
	a.mu.Unlock()
	if any {
		a.placeStatic()
	}
}

// tellEnd gives the API a moment to hear how a static pod has ended, before its
// mirror goes. Only run calls it.
func (w *worker) tellEnd() {
	if !w.isStatic() {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	w.writer.Flush(ctx)
}

// writeTo has the status written to this mirror. The lock is held.
func (w *worker) writeTo(mirror *corev1.Pod) {
	if mirror != nil && w.mirrored != mirror.UID {
		w.writer, w.mirrored = status.New(w.agent.cfg.Client, w.agent.cfg.Clock, w.agent.cfg.Log), mirror.UID
	}
}
