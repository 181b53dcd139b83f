package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

// hookRetry is the pause before a failed hook is tried again.
const hookRetry = 250 * time.Millisecond

func onceClose(c chan struct{}) func() { return sync.OnceFunc(func() { close(c) }) }

// addHooks registers what must be done before the server is ready.
func (s *Server) addHooks() error {
	hooks := append([]Hook{
		{Name: "storage-readiness", Run: s.waitStorage},
		{Name: "bootstrap-controller", Run: s.keepKubernetesService},
		{Name: "apiservice-discovery-controller", Run: s.startAggregation},
	}, s.config.Hooks...)
	for _, h := range hooks {
		run := func(c genericapiserver.PostStartHookContext) error {
			s.retry(c, h)
			return nil
		}
		if err := s.main.AddPostStartHook(h.Name, run); err != nil {
			return err
		}
	}
	return nil
}

// retry runs h until it succeeds or the server stops: a hook's error would end
// the process.
func (s *Server) retry(ctx context.Context, h Hook) {
	for {
		err := h.Run(ctx, s.parts)
		if err == nil || ctx.Err() != nil {
			return
		}
		klog.ErrorS(err, "Start of the API server: trying again", "hook", h.Name)
		select {
		case <-ctx.Done():
			return
		case <-time.After(hookRetry):
		}
	}
}

// Run serves until ctx ends. It calls ready once /readyz answers ok.
func (s *Server) Run(ctx context.Context, ready func()) error {
	defer s.release()
	if err := s.config.Datastore.WaitReady(ctx); err != nil {
		return err
	}
	if err := s.waitStorage(ctx, s.parts); err != nil {
		return err
	}
	for _, repair := range s.repair {
		if err := repair(ctx); err != nil {
			return fmt.Errorf("apiserver: %w", err)
		}
	}
	prepared := s.main.PrepareRun()
	s.parts.Presence.Open()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(inner, s.stop)
	// Informers that have synced before the listed hooks look at them spare
	// those a poll interval each.
	s.crds.Informers.Start(s.stopped)
	s.parts.Informers.Start(s.stopped)
	s.parts.Informers.WaitForCacheSync(inner.Done())
	s.crds.Informers.WaitForCacheSync(inner.Done())
	s.others.Start(wait.ContextForChannel(s.stopped))

	if keep := s.encrypted.keep; keep != nil {
		go keep(inner)
	}
	var attending sync.WaitGroup
	defer attending.Wait()
	defer cancel()
	attending.Go(func() {
		select {
		case <-s.config.Datastore.Shared():
			s.attend(inner)
		case <-inner.Done():
		}
	})
	failed := make(chan error, 1)
	go func() { failed <- prepared.RunWithContext(inner) }()
	go s.awaitReady(inner, ready)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-failed:
		return err
	case <-time.After(2 * stopWithin):
		return errors.New("apiserver: requests in flight did not end in time")
	}
}

// awaitReady asks the server's own health check; the library has no event for it.
func (s *Server) awaitReady(ctx context.Context, ready func()) {
	health := s.parts.Client.Discovery().RESTClient()
	for {
		if health.Get().AbsPath("/readyz").Do(ctx).Error() == nil {
			ready()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(readyPoll):
		}
	}
}

const readyPoll = 3 * time.Millisecond

// waitStorage waits until every watch cache is filled.
func (s *Server) waitStorage(ctx context.Context, _ Parts) error {
	for _, check := range s.ready {
		for check() != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(readyPoll):
			}
		}
	}
	return nil
}
