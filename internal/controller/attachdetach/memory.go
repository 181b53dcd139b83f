package attachdetach

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what is remembered of one volume between two looks at it. Losing it
// costs patience, and an event that is said again.
type memory struct {
	// unwanted is since when nobody wants the volume on a node.
	unwanted map[string]time.Time
	// told is what plan/volume's AttachEvents said before.
	told map[types.UID]string
}

func (a *attacher) recall(key types.NamespacedName) memory {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[key]
}

// remember replaces what is known of a volume; of one that nothing is known of
// nothing is kept.
func (a *attacher) remember(key types.NamespacedName, m memory) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if delete(a.known, key); len(m.unwanted)+len(m.told) > 0 {
		a.known[key] = m
	}
}
