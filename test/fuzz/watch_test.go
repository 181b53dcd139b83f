package fuzz

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

// patience is how long one object or request may take on a loaded machine.
const patience = 20 * time.Second

// noticed collects the panics that the server recovers from.
var noticed panics

type panics struct {
	mu   sync.Mutex
	seen []string
}

func (p *panics) add(_ context.Context, reason any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf("%v\n%s", reason, debug.Stack()))
}

// take returns what was collected since the last call.
func (p *panics) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// within ends the test program if f does not return: nothing else can stop a
// computation without end, and the input must be known.
func within(t testing.TB, input func() string, f func()) {
	t.Helper()
	timer := time.AfterFunc(patience, func() { panic("no end in sight with this input: " + input()) })
	defer timer.Stop()
	f()
}
