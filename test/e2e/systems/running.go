package systems

import (
	"context"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/load"
)

// Limit is what a system may take for anything: a machine that does much else
// besides is slow, and that is no failure.
const Limit = 20 * time.Minute

// Running is a system on a cluster, and its client.
type Running struct {
	System
	T    *testing.T
	C    *cluster.Cluster
	Dial load.Dial
	Load *load.Load
}

// Run runs the system on a cluster that is up.
func (s System) Run(t *testing.T, c *cluster.Cluster) *Running {
	t.Helper()
	if s.Namespace != "" {
		c = c.In(t, s.Namespace)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the containers of %s said:\n%s", s.Name, s.Said(c))
		}
	})
	began := time.Now()
	s.Up(t, c)
	if s.Formed != nil {
		s.Formed(c)
	}
	t.Logf("%s is up after %s", s.Name, time.Since(began).Round(time.Millisecond))
	return &Running{System: s, T: t, C: c, Dial: Dial(c)}
}

// Begin starts the client, which writes until the test ends.
func (r *Running) Begin() {
	r.T.Helper()
	r.Load = load.Start(r.T.Context(), r.Store(r.Dial))
	r.T.Cleanup(func() { r.Load.Stop() })
	r.Written(20, "at first")
}

// Written waits until more records are acknowledged, if there is a client.
func (r *Running) Written(count int, when string) {
	r.T.Helper()
	if r.Load == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.T.Context(), Limit)
	defer cancel()
	if err := r.Load.Await(ctx, count); err != nil {
		r.T.Fatalf("%s %s: %v", r.Name, when, err)
	}
}

// Verify looks for each acknowledged record in what clients read, and in what each
// member that has a copy says itself. A copy may be behind, or its pod just not
// be there: what is missing is asked for again until within is over. The result is
// what the worst of them lacks, or has and should not.
func (r *Running) Verify(within time.Duration) (worst load.Comparison) {
	r.T.Helper()
	copies := r.System
	if r.Replicas != "" {
		copies.Set = r.Replicas
	}
	ways := map[string]load.Store{"clients": r.Store(r.Dial)}
	for _, pod := range copies.Pods(r.C) {
		ways[pod] = r.Member(r.Dial, pod)
	}
	for name, store := range ways {
		got, err := r.ask(store, within)
		switch {
		case err != nil:
			r.T.Fatalf("%s: what %s can read: %v", r.Name, name, err)
		case !got.Good():
			r.T.Logf("%s: of what was acknowledged, %s can read: %s", r.Name, name, got)
		}
		if len(got.Lost)+len(got.Invented)+len(got.Twice) > len(worst.Lost)+len(worst.Invented)+len(worst.Twice) {
			worst = got
		}
	}
	return worst
}

// ask reads until all is as it should be, or the time is up.
func (r *Running) ask(store load.Store, within time.Duration) (got load.Comparison, err error) {
	answered := time.Now().Add(Limit)
	for good := time.Now().Add(within); ; {
		ctx, cancel := context.WithTimeout(r.T.Context(), 2*time.Minute)
		got, err = r.Load.Verify(ctx, store)
		cancel()
		now := time.Now()
		if err == nil && (got.Good() || now.After(good)) || err != nil && now.After(answered) || r.T.Context().Err() != nil {
			return got, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.T.Context().Done():
		}
	}
}
