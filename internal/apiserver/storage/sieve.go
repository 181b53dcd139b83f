package storage

import (
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// sieve passes on the events of a watch that are to be kept.
type sieve struct {
	source watch.Interface
	kept   chan watch.Event
	stop   func()
	done   chan struct{}
}

// newSieve owns source, which ends with it.
func newSieve(source watch.Interface, keep func(watch.Event) bool) *sieve {
	s := &sieve{source: source, kept: make(chan watch.Event), done: make(chan struct{})}
	s.stop = sync.OnceFunc(func() {
		close(s.done)
		source.Stop()
	})
	go s.run(keep)
	return s
}

func (s *sieve) run(keep func(watch.Event) bool) {
	defer close(s.kept)
	for event := range s.source.ResultChan() {
		if !keep(event) {
			continue
		}
		select {
		case s.kept <- event:
		case <-s.done:
			return
		}
	}
}

// Stop implements watch.Interface.
func (s *sieve) Stop() { s.stop() }

// ResultChan implements watch.Interface.
func (s *sieve) ResultChan() <-chan watch.Event { return s.kept }
