package daemonset

import (
	"maps"
	"time"
)

// A node that fails its daemon whenever one is made, say because it has no room,
// gets the next one ever later.
const (
	firstWait   = time.Second
	longestWait = 15 * time.Minute
)

// Backoff is when failed pods were deleted, by node. It holds for one generation
// of the set: what the user changes may help at once.
type Backoff struct {
	Generation int64
	Nodes      map[string]Wait
}

// Wait is how long after Since the next failed pod stays.
type Wait struct {
	Since time.Time
	For   time.Duration
}

// left is how long the node's failed pod is to stay.
func (b Backoff) left(node string, now time.Time) time.Duration {
	w, known := b.Nodes[node]
	if !known || expired(w, now) {
		return 0
	}
	return max(w.Since.Add(w.For).Sub(now), 0)
}

// next notes that a failed pod of the node is deleted now.
func (b *Backoff) next(node string, now time.Time) {
	wait := Wait{Since: now, For: firstWait}
	if w, known := b.Nodes[node]; known && !expired(w, now) {
		wait.For = min(2*w.For, longestWait)
	}
	b.Nodes[node] = wait
}

// of is a copy for that generation, without what is forgotten.
func (b Backoff) of(generation int64, now time.Time) Backoff {
	next := Backoff{Generation: generation, Nodes: map[string]Wait{}}
	if b.Generation == generation {
		maps.Copy(next.Nodes, b.Nodes)
		maps.DeleteFunc(next.Nodes, func(_ string, w Wait) bool { return expired(w, now) })
	}
	return next
}

func expired(w Wait, now time.Time) bool { return now.Sub(w.Since) > 2*longestWait }
