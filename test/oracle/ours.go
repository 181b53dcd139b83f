package oracle

import (
	"context"
	"slices"

	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/statefulset"
	plan "berth.dev/berth/internal/plan/statefulset"
)

// most is how often a reconcile may end early because it adopted or released
// pods, and wants to be woken by the event of that.
const most = 3

// Ours is what Berth's controller does with a state, with upstream's rules. A
// reconcile that only adopted or released pods is run again: upstream goes on in
// the same sync.
func Ours(ctx context.Context, s *State, rules plan.Rules) *Answer {
	m := newMemory(s)
	env := loop.Env{
		Cache: m, Live: m, Write: m, Events: m,
		Clock: clocktesting.NewFakePassiveClock(s.Now.Time), Parallel: 1,
	}
	for range most {
		before := len(m.answer.Writes)
		reconciler := statefulset.LoopWith(rules).New(env)
		_, err := reconciler.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(s.Set)})
		if err != nil {
			m.answer.Error = err.Error()
			break
		}
		claimed := func(w Write) bool { return w.Verb == "patch" && w.Kind == podKind }
		if !slices.ContainsFunc(m.answer.Writes[before:], claimed) {
			break
		}
	}
	return &m.answer
}
