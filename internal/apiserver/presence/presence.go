// Package presence tells which resources have had an object, so that what
// serves them alone costs nothing until then.
package presence

import (
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Board holds one mark per resource that somebody waits for.
type Board struct {
	mu    sync.Mutex
	open  bool
	marks map[schema.GroupResource]*Mark
}

// Mark says of one resource whether it has had an object. It is never taken back.
type Mark struct {
	board  *Board
	raised atomic.Bool
	starts []func() // guarded by board.mu
}

// NewBoard returns a board without marks.
func NewBoard() *Board {
	return &Board{marks: map[schema.GroupResource]*Mark{}}
}

// First has start called once, when resource gets its first object, but not
// before Open. Raised of the mark it returns is true before start is called.
func (b *Board) First(resource schema.GroupResource, start func()) *Mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.marks[resource]
	if m == nil {
		m = &Mark{board: b}
		b.marks[resource] = m
	}
	if b.open && m.raised.Load() {
		go start()
	} else {
		m.starts = append(m.starts, start)
	}
	return m
}

// Mark returns the mark of resource, or nil if nobody waits for it.
func (b *Board) Mark(resource schema.GroupResource) *Mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.marks[resource]
}

// Open calls what is due for the objects seen so far, and returns when that
// is done. From then on each start is called as its first object is seen, in a
// goroutine of its own.
func (b *Board) Open() {
	b.mu.Lock()
	var due []func()
	for _, m := range b.marks {
		if m.raised.Load() {
			due = append(due, m.take()...)
		}
	}
	b.open = true
	b.mu.Unlock()
	for _, start := range due {
		start()
	}
}

// Raised says whether the resource has had an object.
func (m *Mark) Raised() bool { return m.raised.Load() }

// Raise notes that the resource has an object. It is cheap and never blocks
// for long, so that storage may call it for every object it sees.
func (m *Mark) Raise() {
	if m.raised.Load() {
		return
	}
	m.board.mu.Lock()
	defer m.board.mu.Unlock()
	m.raised.Store(true)
	if !m.board.open {
		return
	}
	for _, start := range m.take() {
		go start()
	}
}

func (m *Mark) take() []func() {
	starts := m.starts
	m.starts = nil
	return starts
}
