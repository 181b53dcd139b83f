package node

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/staticpod"
)

const (
	firstMirrorRetry = 200 * time.Millisecond
	lastMirrorRetry  = 10 * time.Second
)

// mirrorChanged takes in what the API shows of a static pod.
func (a *Agent) mirrorChanged(mirror *corev1.Pod) {
	a.mu.Lock()
	a.static.mirrors[nameOf(mirror)] = mirror
	w := a.workers[staticpod.Identity(mirror)]
	a.mu.Unlock()
	if w != nil && w.isStatic() {
		w.change(func() { w.mirror = mirror })
	}
	a.lookAtMirrors()
}

// mirrorGone forgets a mirror, unless there is another one already.
func (a *Agent) mirrorGone(mirror *corev1.Pod) {
	a.mu.Lock()
	if now := a.static.mirrors[nameOf(mirror)]; now != nil && now.UID == mirror.UID {
		delete(a.static.mirrors, nameOf(mirror))
	}
	w := a.workers[staticpod.Identity(mirror)]
	a.mu.Unlock()
	if w != nil && w.isStatic() {
		w.change(func() {
			if w.mirror != nil && w.mirror.UID == mirror.UID {
				w.mirror = nil
			}
		})
	}
	a.lookAtMirrors()
}

func (a *Agent) lookAtMirrors() {
	select {
	case a.static.moved <- struct{}{}:
	default:
	}
}

// followMirrors keeps what the API shows of the static pods.
func (a *Agent) followMirrors(ctx context.Context) {
	retry := firstMirrorRetry
	timer := a.cfg.Clock.NewTimer(lastMirrorRetry)
	defer func() { timer.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.static.moved:
		case <-timer.C():
		}
		timer.Stop()
		if err := a.mirror(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("the API does not show all static pods as they are, trying again", "error", err)
			retry = min(2*retry, lastMirrorRetry)
		} else {
			retry = firstMirrorRetry
		}
		wait := lastMirrorRetry
		if retry > firstMirrorRetry {
			wait = retry
		}
		timer = a.cfg.Clock.NewTimer(wait)
	}
}

// mirror brings the mirrors to what they should be, as far as it can now.
func (a *Agent) mirror(ctx context.Context) error {
	node := a.cfg.Node()
	m := staticpod.Mirrors{Alive: map[types.UID]bool{}}
	a.mu.Lock()
	synced := a.synced && a.static.once
	for _, mirror := range a.static.mirrors {
		m.There = append(m.There, mirror)
	}
	for uid := range a.workers {
		m.Alive[uid] = true
	}
	for _, pod := range a.static.wanted {
		if a.workers[pod.UID] != nil && node != nil && node.DeletionTimestamp == nil {
			m.Wanted = append(m.Wanted, pod)
		}
	}
	a.mu.Unlock()
	if !synced {
		return nil
	}
	steps := m.Steps()
	var failed error
	for _, old := range steps.Delete {
		if err := a.deleteMirror(ctx, old); err != nil {
			failed = err
		}
	}
	for _, pod := range steps.Create {
		made, err := a.cfg.Client.CoreV1().Pods(pod.Namespace).Create(ctx, staticpod.MirrorOf(pod, node), metav1.CreateOptions{})
		if err != nil {
			failed = err
			continue
		}
		a.mirrorChanged(made)
	}
	return failed
}

func (a *Agent) deleteMirror(ctx context.Context, mirror *corev1.Pod) error {
	now := int64(0)
	err := a.cfg.Client.CoreV1().Pods(mirror.Namespace).Delete(ctx, mirror.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(mirror.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	a.mirrorGone(mirror)
	return nil
}
