package probe

import (
	"context"
	"sync"
	"time"

	plan "berth.dev/berth/internal/plan/probe"
	"k8s.io/utils/clock"
)

// Report receives what a Set learns. Its functions must not block.
type Report struct {
	// Verdict tells of a new verdict.
	Verdict func(kind plan.Kind, v plan.Verdict)
	// Unhealthy tells of a failure that counts.
	Unhealthy func(kind plan.Kind, output string, err error)
}

// Set runs the probes of one running container until it is stopped.
type Set struct {
	target Target
	exec   Exec
	clock  clock.Clock
	report Report

	cancel   context.CancelFunc
	killers  context.CancelFunc // ends liveness and startup only
	group    sync.WaitGroup
	verdicts plan.Verdicts
}

// Start begins to probe. inherited are verdicts that an earlier agent reached.
func Start(ctx context.Context, t Target, exec Exec, clk clock.Clock, inherited plan.Verdicts, report Report) *Set {
	s := &Set{target: t, exec: exec, clock: clk, report: report}
	ctx, s.cancel = context.WithCancel(ctx)
	killing, stopKilling := context.WithCancel(ctx)
	s.killers = stopKilling
	s.verdicts = initial(t, inherited)
	s.group.Add(1)
	go func() {
		defer s.group.Done()
		if t.Container.StartupProbe != nil && inherited.Startup != plan.Success {
			if s.follow(killing, plan.Startup, inherited.Startup) != plan.Success {
				return
			}
		}
		if t.Container.LivenessProbe != nil {
			s.group.Add(1)
			go func() {
				defer s.group.Done()
				s.follow(killing, plan.Liveness, inherited.Liveness)
			}()
		}
		if t.Container.ReadinessProbe != nil {
			s.follow(ctx, plan.Readiness, inherited.Readiness)
		}
	}()
	return s
}

// Initial are the verdicts before the first answer.
func (s *Set) Initial() plan.Verdicts { return s.verdicts }

func initial(t Target, inherited plan.Verdicts) plan.Verdicts {
	var v plan.Verdicts
	choose := func(kind plan.Kind, known plan.Verdict) plan.Verdict {
		switch {
		case plan.Of(t.Container, kind) == nil:
			return ""
		case known != "":
			return known
		default:
			return plan.Initial(kind)
		}
	}
	v.Startup = choose(plan.Startup, inherited.Startup)
	v.Readiness = choose(plan.Readiness, inherited.Readiness)
	v.Liveness = choose(plan.Liveness, inherited.Liveness)
	return v
}

// StopKilling ends the probes that could condemn the container.
func (s *Set) StopKilling() { s.killers() }

// Stop ends all probes. It does not wait for a try under way.
func (s *Set) Stop() { s.cancel() }

// follow runs one probe until it is decided for good or ctx ends.
func (s *Set) follow(ctx context.Context, kind plan.Kind, inherited plan.Verdict) plan.Verdict {
	spec := plan.Of(s.target.Container, kind)
	tracker := plan.Start(kind, spec, s.target.Started, s.clock.Now(), inherited)
	for {
		at, due := tracker.Next()
		if !due {
			return tracker.Verdict
		}
		if !s.sleep(ctx, at) {
			return tracker.Verdict
		}
		began := s.clock.Now()
		ok, output, err := ask(ctx, s.target, spec, plan.Timeout(spec), s.exec)
		if ctx.Err() != nil {
			return tracker.Verdict
		}
		if !ok && tracker.Counted(at) && s.report.Unhealthy != nil {
			s.report.Unhealthy(kind, output, err)
		}
		before := tracker.Verdict
		tracker = tracker.Observe(plan.Answer{OK: ok, Void: err != nil, Began: began, Ended: s.clock.Now(), Expected: at})
		if tracker.Verdict != before {
			s.report.Verdict(kind, tracker.Verdict)
		}
	}
}

func (s *Set) sleep(ctx context.Context, until time.Time) bool {
	wait := until.Sub(s.clock.Now())
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := s.clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}
