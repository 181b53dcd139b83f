package statefulset

import (
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// patience remembers of each set which actions the API refused, so that events
// of its other pods do not repeat them at once.
type patience struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	sets map[types.NamespacedName]*loop.Patience
}

func newPatience(c clock.PassiveClock) *patience {
	return &patience{clock: c, sets: map[types.NamespacedName]*loop.Patience{}}
}

// tooSoon says that an action waits because it failed not long ago.
type tooSoon struct{ left time.Duration }

func (e tooSoon) Error() string { return fmt.Sprintf("tried again in %s", e.left) }

// try does an action of a set unless it is too soon for it.
func (p *patience) try(set types.NamespacedName, generation int64, a plan.Action, do func() error) error {
	of, key := p.of(set), types.NamespacedName{Name: fmt.Sprintf("%s %d %s", a.Verb, a.Ordinal, a.Claim)}
	if left := of.Left(key, generation); left > 0 {
		return tooSoon{left}
	}
	err := do()
	switch {
	case err == nil:
		of.Forget(key)
	case changesWithEvents(err):
	default:
		of.Failed(key, generation)
	}
	return err
}

// changesWithEvents says that what is in the way goes with an event: a newer
// version, a budget, another's pod, or overrides that make no pod.
func changesWithEvents(err error) bool {
	var none notAsked
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || errors.Is(err, errRefused) || errors.As(err, &none)
}

// notAsked is an error that the API has not even been asked for.
type notAsked struct{ error }

func (e notAsked) Unwrap() error { return e.error }

func (p *patience) of(set types.NamespacedName) *loop.Patience {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sets[set] == nil {
		p.sets[set] = loop.NewPatience(p.clock)
	}
	return p.sets[set]
}

func (p *patience) forget(set types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sets, set)
}
