package probe_test

import (
	"testing"
	"time"

	"berth.dev/berth/internal/plan/probe"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

var zero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return zero.Add(d) }

// play answers every try with ok(at) taking took, until limit; it returns the
// times of all tries and of those that counted.
func play(t probe.Tracker, limit, took time.Duration, ok func(time.Duration) bool) (probe.Tracker, []time.Duration, []time.Duration) {
	var all, counted []time.Duration
	for {
		at, due := t.Next()
		if !due || at.After(after(limit)) {
			return t, all, counted
		}
		offset := at.Sub(zero)
		all = append(all, offset)
		if t.Counted(at) {
			counted = append(counted, offset)
		}
		t = t.Observe(probe.Answer{OK: ok(offset), Began: at, Ended: at.Add(took), Expected: at})
	}
}

func never(time.Duration) bool { return false }

func TestReadinessHurriesUntilItSucceeds(t *testing.T) {
	spec := &corev1.Probe{PeriodSeconds: 1}
	tr := probe.Start(probe.Readiness, spec, zero, zero, "")
	tr, all, counted := play(tr, 350*time.Millisecond, 0, func(at time.Duration) bool { return at >= 100*time.Millisecond })
	want := []time.Duration{0, 10e6, 30e6, 70e6, 150e6}
	if len(all) != len(want) {
		t.Fatalf("tries at %v, want %v", all, want)
	}
	for i := range want {
		if all[i] != want[i] {
			t.Fatalf("tries at %v, want %v", all, want)
		}
	}
	if len(counted) != 0 {
		t.Errorf("counted %v, want none", counted)
	}
	if tr.Verdict != probe.Success {
		t.Errorf("verdict %v", tr.Verdict)
	}
	if at, _ := tr.Next(); !at.Equal(after(time.Second)) {
		t.Errorf("next at %v, want the regular beat", at.Sub(zero))
	}
}

func TestExecReadinessIsSpared(t *testing.T) {
	spec := &corev1.Probe{PeriodSeconds: 10, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{}}}
	tr := probe.Start(probe.Readiness, spec, zero, zero, "")
	_, all, _ := play(tr, 3*time.Second, 50*time.Millisecond, never)
	for i := 1; i < len(all); i++ {
		if all[i]-all[i-1] < 550*time.Millisecond {
			t.Errorf("tries %v and %v are closer than ten times the duration", all[i-1], all[i])
		}
	}
	if len(all) < 3 {
		t.Errorf("only %v", all)
	}
}

func TestLivenessKeepsUpstreamsTiming(t *testing.T) {
	spec := &corev1.Probe{PeriodSeconds: 10, InitialDelaySeconds: 15, FailureThreshold: 3}
	tr := probe.Start(probe.Liveness, spec, zero, zero, "")
	tr, all, counted := play(tr, time.Hour, time.Millisecond, never)
	want := []time.Duration{20 * time.Second, 30 * time.Second, 40 * time.Second}
	if len(all) != 3 || len(counted) != 3 || all[0] != want[0] || all[2] != want[2] {
		t.Errorf("tries at %v, want %v", all, want)
	}
	if tr.Verdict != probe.Failure {
		t.Errorf("verdict %v", tr.Verdict)
	}
}

func TestStartupEndsWithSuccess(t *testing.T) {
	spec := &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 30}
	tr := probe.Start(probe.Startup, spec, zero, zero, "")
	if tr.Verdict != probe.Unknown {
		t.Errorf("begins with %v", tr.Verdict)
	}
	tr, all, _ := play(tr, time.Minute, 0, func(at time.Duration) bool { return at >= 3*time.Second })
	if tr.Verdict != probe.Success || len(all) != 3 {
		t.Errorf("%v after %v", tr.Verdict, all)
	}
}

func TestTakeoverKeepsTheVerdict(t *testing.T) {
	spec := &corev1.Probe{PeriodSeconds: 10}
	now := after(time.Hour)
	tr := probe.Start(probe.Readiness, spec, zero, now, probe.Success)
	if tr.Verdict != probe.Success {
		t.Errorf("verdict %v", tr.Verdict)
	}
	if at, _ := tr.Next(); !at.Equal(now) {
		t.Errorf("first try %v after takeover", at.Sub(now))
	}
	tr = tr.Observe(probe.Answer{Began: now, Ended: now, Expected: now})
	if tr.Verdict != probe.Success {
		t.Errorf("one failure must not end readiness")
	}
	if at, _ := tr.Next(); at.Sub(now) != 10*time.Second {
		t.Errorf("next try after %v, want the period", at.Sub(now))
	}
}

// The tries never come in the past, never faster than 10 ms, and a container
// is condemned only after failureThreshold counted failures.
func TestTrackerProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spec := &corev1.Probe{
			PeriodSeconds:       rapid.Int32Range(0, 20).Draw(rt, "period"),
			InitialDelaySeconds: rapid.Int32Range(0, 30).Draw(rt, "delay"),
			FailureThreshold:    rapid.Int32Range(0, 5).Draw(rt, "failures"),
			SuccessThreshold:    rapid.Int32Range(0, 3).Draw(rt, "successes"),
		}
		kind := rapid.SampledFrom([]probe.Kind{probe.Liveness, probe.Readiness, probe.Startup}).Draw(rt, "kind")
		begin := after(time.Duration(rapid.IntRange(0, 100_000).Draw(rt, "seen")) * time.Millisecond)
		tr := probe.Start(kind, spec, zero, begin, "")
		failures := int32(0)
		last := begin
		for range 60 {
			at, due := tr.Next()
			if !due {
				break
			}
			if at.Before(last) {
				rt.Fatalf("try at %v, before %v", at.Sub(zero), last.Sub(zero))
			}
			if at.Before(zero.Add(time.Duration(spec.InitialDelaySeconds) * time.Second)) {
				rt.Fatalf("try at %v, before the initial delay", at.Sub(zero))
			}
			ok := rapid.Bool().Draw(rt, "ok")
			took := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "took")) * time.Millisecond
			counted := tr.Counted(at)
			before := tr.Verdict
			tr = tr.Observe(probe.Answer{OK: ok, Began: at, Ended: at.Add(took), Expected: at})
			switch {
			case ok:
				failures = 0
			case counted:
				failures++
			}
			least := spec.FailureThreshold
			if least == 0 {
				least = 3
			}
			if tr.Verdict == probe.Failure && before != probe.Failure && failures < least {
				rt.Fatalf("condemned after %d failures of %d", failures, least)
			}
			last = at
		}
	})
}
