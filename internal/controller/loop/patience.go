package loop

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// A write that failed is tried again soon, then ever more slowly.
const (
	firstWait   = 10 * time.Millisecond
	longestWait = 30 * time.Second
)

// NamespaceEnds says that nothing can be made because the namespace is being
// deleted. It is not worth a word, and the next thing that happens there is no
// reason to ask again at once: patience, as with every refusal.
func NamespaceEnds(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// Patience keeps a loop from repeating a write that the API refuses whenever an
// event wakes it: after each failure of a key the next attempt has to wait
// longer, however often the key is reconciled meanwhile. What the user changes,
// told by the generation, is tried at once.
type Patience struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	keys map[types.NamespacedName]*refused
}

type refused struct {
	generation int64
	times      int
	until      time.Time
}

// NewPatience returns an empty memory.
func NewPatience(c clock.PassiveClock) *Patience {
	return &Patience{clock: c, keys: map[types.NamespacedName]*refused{}}
}

// Left is how long the key's next attempt has to wait; 0 when it need not.
func (p *Patience) Left(key types.NamespacedName, generation int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.keys[key]
	if r == nil || r.generation != generation {
		return 0
	}
	return max(r.until.Sub(p.clock.Now()), 0)
}

// Failed notes that the key's write failed and returns how long to wait.
func (p *Patience) Failed(key types.NamespacedName, generation int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.keys[key]
	if r == nil || r.generation != generation {
		r = &refused{generation: generation}
		p.keys[key] = r
	}
	wait := min(firstWait<<min(r.times, 20), longestWait)
	r.times++
	r.until = p.clock.Now().Add(wait)
	return wait
}

// Forget ends the wait of a key: a write succeeded, or the object is gone.
func (p *Patience) Forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, key)
}
