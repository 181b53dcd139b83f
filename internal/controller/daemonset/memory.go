package daemonset

import (
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/daemonset"
)

// memory is what the loop knows of each set from its last pass. All of it may be
// lost: failed pods are deleted sooner then, and templates encoded once more.
type memory struct {
	mu   sync.Mutex
	sets map[types.NamespacedName]remembered
}

type remembered struct {
	uid     types.UID
	backoff plan.Backoff
	// update is the revision of the template of that generation, the newest of
	// so many.
	update     string
	generation int64
	revisions  int
	// ended is when the pass was over, and pods what it saw; idle says that it
	// had nothing to do but to count.
	ended time.Time
	pods  int
	idle  bool
}

func newMemory() *memory { return &memory{sets: map[types.NamespacedName]remembered{}} }

// of is what is known of the set, nothing of one that had its name before.
func (m *memory) of(set *appsv1.DaemonSet) remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.sets[client.ObjectKeyFromObject(set)]; known.uid == set.UID {
		return known
	}
	return remembered{uid: set.UID}
}

func (m *memory) change(set *appsv1.DaemonSet, to func(*remembered)) {
	known := m.of(set)
	to(&known)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets[client.ObjectKeyFromObject(set)] = known
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sets, key)
}

// rest is how long to leave a set of many pods alone that were only counted last
// time. One that somebody has changed is not kept waiting.
func (m *memory) rest(set *appsv1.DaemonSet, now time.Time) time.Duration {
	last := m.of(set)
	if !last.idle || set.Status.ObservedGeneration != set.Generation {
		return 0
	}
	return loop.Rest(last.pods, now.Sub(last.ended))
}
