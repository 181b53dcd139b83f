package datastore

import (
	"context"
	"errors"
	"time"
)

// ErrNoQuorum is why a server of several can do nothing.
var ErrNoQuorum = errors.New("this server's datastore has no quorum: it does not reach more than half of the servers of the cluster")

const (
	// look is how often a member that has others asks itself whether there is a leader.
	look = 500 * time.Millisecond
	// lost is for how long there is none before that is more than an election.
	lost = 3 * time.Second
)

// quorum is whether this member and others can write.
type quorum struct {
	ctx context.Context // ends when the quorum is lost
	cut context.CancelCauseFunc
}

func (q *quorum) begin(life context.Context) { q.ctx, q.cut = context.WithCancelCause(life) }

func (q *quorum) end() {
	if q.cut != nil {
		q.cut(ErrNoQuorum)
	}
}

// Quorum returns a context that ends when this server's member loses its quorum,
// or why there is none now. It is nil where that cannot happen or cannot be known.
func (s *Store) Quorum() (context.Context, error) {
	m := s.member
	if m == nil || !isClosed(m.shared) {
		return nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.together.ctx.Err() != nil {
		return nil, ErrNoQuorum
	}
	return m.together.ctx, nil
}

// watchQuorum asks again and again, because etcd tells nobody that it has no
// leader any more.
func (m *member) watchQuorum() {
	again := time.NewTicker(look)
	defer again.Stop()
	since := time.Now()
	for {
		select {
		case <-m.closing:
			return
		case <-again.C:
		}
		led := m.etcd.Server.Leader() != 0
		if led {
			since = time.Now()
		}
		m.mu.Lock()
		has := m.together.ctx.Err() == nil
		switch {
		case led && !has:
			m.together.begin(m.life)
		case !led && has && time.Since(since) > lost:
			m.together.end()
		}
		m.mu.Unlock()
	}
}
