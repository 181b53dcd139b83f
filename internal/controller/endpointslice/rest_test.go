package endpointslice

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/controller/loop"
)

func TestRest(t *testing.T) {
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	for name, c := range map[string]struct {
		pods     int
		idle     bool
		at, want time.Duration
	}{
		"few pods":      {pods: 99},
		"a hundred":     {pods: 100, want: 10 * time.Millisecond},
		"many":          {pods: 300, want: 15 * time.Millisecond},
		"twice as many": {pods: 600, want: 60 * time.Millisecond},
		"nothing to do": {pods: 1500, idle: true, want: 15 * time.Millisecond},
		"some time ago": {pods: 600, at: 15 * time.Millisecond, want: 45 * time.Millisecond},
		"long ago":      {pods: 600, at: time.Second},
		"even more":     {pods: 900, want: 90 * time.Millisecond},
		"very many":     {pods: 100_000, want: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
			controller := &controller{env: loop.Env{Clock: clock}, looked: map[types.NamespacedName]look{}}
			if controller.rest(key) != 0 {
				t.Error("the first look waits")
			}
			controller.ended(key, c.pods, !c.idle)
			clock.Step(c.at)
			if got := controller.rest(key); got != c.want {
				t.Errorf("rests %s, want %s", got, c.want)
			}
			if controller.forget(key); controller.rest(key) != 0 || len(controller.looked) != 0 {
				t.Error("a Service that is gone is remembered")
			}
		})
	}
}
