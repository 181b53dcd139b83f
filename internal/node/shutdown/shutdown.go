// Package shutdown ends a node's pods in order when the machine is going down,
// and keeps the machine up until that is done. A stop of berth alone is not the
// machine's: it ends no pod. Who ends when is said by internal/plan/shutdown.
package shutdown

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/node/shutdown/logind"
	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/shutdown"
)

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Pods is what ends pods.
type Pods interface {
	// Active are the pods that have not ended.
	Active() []*corev1.Pod
	// Shut ends a pod and returns when it is down and the API knows.
	Shut(ctx context.Context, uid types.UID, kill podsync.Kill)
}

// Config is what a Watcher needs.
type Config struct {
	// Periods say how long pods have; without any nothing is watched.
	Periods []shutdown.Period
	Logind  logind.Config
	Pods    Pods
	// Changed is called when Closing has.
	Changed func()
	// Event records an event about the node.
	Event func(kind, reason, message string)
	Clock clock.Clock
	Log   *slog.Logger
}

// Watcher waits for the machine to go down.
type Watcher struct {
	cfg     Config
	closing atomic.Bool
}

// New makes a watcher; Run does the work.
func New(cfg Config) *Watcher {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg}
}

// Closing is true while the machine is going down.
func (w *Watcher) Closing() bool { return w.closing.Load() }

// Run works until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	if shutdown.Total(w.cfg.Periods) == 0 {
		<-ctx.Done()
		return nil
	}
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		began := w.cfg.Clock.Now()
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if w.cfg.Clock.Since(began) > lastRetry {
			wait = firstRetry
		}
		w.cfg.Log.Warn("pods cannot be ended in order when this machine goes down: systemd's logind is not there; trying again", "in", wait, "error", err)
		timer := w.cfg.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

// follow listens to logind until that breaks.
func (w *Watcher) follow(ctx context.Context) error {
	l, err := logind.Dial(ctx, w.cfg.Logind)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Allow(shutdown.Total(w.cfg.Periods)); err != nil {
		return err
	}
	hold, err := l.Hold()
	if err != nil {
		return err
	}
	defer func() {
		if hold != nil {
			_ = hold.Close()
		}
	}()
	down, err := l.GoesDown() // it may have begun before we listened
	for err == nil {
		switch {
		case down && hold != nil:
			w.set(true)
			w.end(ctx)
			_ = hold.Close()
			hold = nil
		case !down && hold == nil:
			w.set(false)
			hold, err = l.Hold()
		}
		if err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case next, ok := <-l.Events():
			if !ok {
				return errors.New("the connection to the system bus has ended")
			}
			down = next
		}
	}
	return fmt.Errorf("logind: %w", err)
}

func (w *Watcher) set(closing bool) {
	message := "Shutdown manager detected shutdown event"
	if !closing {
		message = "Shutdown manager detected shutdown cancellation"
	}
	w.closing.Store(closing)
	w.cfg.Event(corev1.EventTypeNormal, "Shutdown", message)
	w.cfg.Changed()
}

// end ends one group after the other.
func (w *Watcher) end(ctx context.Context) {
	for _, group := range shutdown.Groups(w.cfg.Periods, w.cfg.Pods.Active()) {
		within, cancel := context.WithCancel(ctx)
		timer := w.cfg.Clock.NewTimer(group.Wait())
		done := make(chan struct{})
		var all sync.WaitGroup
		for _, pod := range group.Pods {
			all.Go(func() { w.cfg.Pods.Shut(within, pod.UID, group.Kill(pod)) })
		}
		go func() {
			all.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-timer.C():
			w.cfg.Log.Warn("pods have not ended in their time, the machine goes down", "pods", len(group.Pods), "time", group.Wait())
		}
		timer.Stop()
		cancel()
		<-done
	}
}
