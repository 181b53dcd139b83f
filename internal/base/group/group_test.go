package group_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/base/group"
)

// diary records what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) unit(name string, after ...string) group.Unit {
	return group.Unit{Name: name, After: after, Run: func(ctx context.Context, ready func()) error {
		d.write("start " + name)
		ready()
		<-ctx.Done()
		d.write("stop " + name)
		return nil
	}}
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	err := group.Run(ctx, cancel, d.unit("node", "api"), d.unit("api", "store"), d.unit("store"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"start store", "start api", "start node", "stop node", "stop api", "stop store"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestAFailureStopsTheRestAndIsNamed(t *testing.T) {
	var d diary
	broken := group.Unit{Name: "api", After: []string{"store"}, Run: func(context.Context, func()) error {
		return errors.New("port 6443 is taken")
	}}
	err := group.Run(t.Context(), nil, d.unit("store"), broken, d.unit("node", "api"))
	if err == nil || err.Error() != "api: port 6443 is taken" {
		t.Errorf("got %v", err)
	}
	if want := []string{"start store", "stop store"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q: what needs a broken part must not start", d.lines, want)
	}
}

func TestAUnitThatDoesNotStopIsNamedAndTheOthersStop(t *testing.T) {
	var d diary
	release := make(chan struct{})
	defer close(release)
	stuck := group.Unit{Name: "stuck", After: []string{"store"}, StopTimeout: 20 * time.Millisecond, Run: func(_ context.Context, ready func()) error {
		ready()
		<-release
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	err := group.Run(ctx, cancel, d.unit("store"), stuck)
	if err == nil || !strings.Contains(err.Error(), "stuck did not stop within 20ms") {
		t.Errorf("got %v", err)
	}
	if !slices.Contains(d.lines, "stop store") {
		t.Error("the store was not stopped after the stuck unit's deadline")
	}
}

func TestBadGroupsAreRefused(t *testing.T) {
	var d diary
	for name, units := range map[string][]group.Unit{
		`unit "a" needs "b", which does not exist`: {d.unit("a", "b")},
		`unit "a" needs itself`:                    {d.unit("a", "b"), d.unit("b", "a")},
		`two units are named "a"`:                  {d.unit("a"), d.unit("a")},
	} {
		if err := group.Run(t.Context(), nil, units...); err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}
