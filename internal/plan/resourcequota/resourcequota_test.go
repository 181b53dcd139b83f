package resourcequota

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"
)

func pods(n int64) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(n, resource.DecimalSI)}
}

func quota(hard, used corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		Spec:   corev1.ResourceQuotaSpec{Hard: hard},
		Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used},
	}
}

func TestDecide(t *testing.T) {
	wrote := func(used corev1.ResourceList) *corev1.ResourceQuotaStatus {
		return &corev1.ResourceQuotaStatus{Hard: pods(5), Used: used}
	}
	more := corev1.ResourceList{"count/widgets.example.com": resource.MustParse("7")}
	for name, c := range map[string]struct {
		state State
		want  Plan
	}{
		"as counted":               {State{Quota: quota(pods(5), pods(2)), Counted: pods(2), Exact: true}, Plan{}},
		"as counted in a cache":    {State{Quota: quota(pods(5), pods(2)), Counted: pods(2)}, Plan{}},
		"the cache does not agree": {State{Quota: quota(pods(5), pods(2)), Counted: pods(1), Settled: pods(2)}, Plan{Ask: true}},
		"more is used":             {State{Quota: quota(pods(5), pods(2)), Counted: pods(3), Exact: true}, Plan{Status: wrote(pods(3))}},
		"less is used":             {State{Quota: quota(pods(5), pods(3)), Counted: pods(1), Exact: true, Settled: pods(3)}, Plan{Status: wrote(pods(1))}},
		"less, but nobody knows of charges": {
			State{Quota: quota(pods(5), pods(3)), Counted: pods(1), Exact: true}, Plan{Held: true},
		},
		"less, but one of them is charged a moment ago": {
			State{Quota: quota(pods(5), pods(3)), Counted: pods(1), Exact: true, Settled: pods(2)}, Plan{Status: wrote(pods(2)), Held: true},
		},
		"never counted": {
			State{Quota: &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: pods(5)}}, Counted: pods(2), Exact: true}, Plan{Status: wrote(pods(2))},
		},
		"a limit that is no longer there": {
			State{Quota: &corev1.ResourceQuota{
				Spec:   corev1.ResourceQuotaSpec{Hard: pods(5)},
				Status: corev1.ResourceQuotaStatus{Hard: pods(4), Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2"), "x": resource.MustParse("1")}},
			}, Counted: pods(2), Exact: true},
			Plan{Status: wrote(pods(2))},
		},
		"nobody can count it": {State{Quota: quota(more, more), Exact: true}, Plan{}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, Decide(c.state)); d != "" {
				t.Error(d)
			}
		})
	}
}

// world is an API server that charges and stores, with a loop that counts.
type world struct {
	now     time.Time
	version uint64
	quota   *corev1.ResourceQuota
	stored  int64
	flying  []time.Time // when each charge becomes an object
	ledger  Ledger
}

func (w *world) used() int64 {
	q := w.quota.Status.Used[corev1.ResourcePods]
	return q.Value()
}

func (w *world) land() {
	var left []time.Time
	for _, at := range w.flying {
		if at.After(w.now) {
			left = append(left, at)
		} else {
			w.stored++
		}
	}
	w.flying = left
}

func (w *world) recount() Plan {
	plan := Decide(State{Quota: w.quota, Counted: pods(w.stored), Exact: true, Settled: w.ledger.Settled(w.now)})
	if plan.Status != nil {
		w.version++
		w.ledger.Wrote(w.now, w.version, w.quota.Status.Used, plan.Status.Used)
		w.quota = quota(plan.Status.Hard, plan.Status.Used)
	}
	return plan
}

// TestNeverBelowWhatIsCharged lets objects come, go and be on their way at
// random: the quota never says less than all of them together, and says
// exactly that once they have come to rest.
func TestNeverBelowWhatIsCharged(t *testing.T) {
	const hard = 12
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: time.Unix(1000, 0), version: 1, quota: quota(pods(hard), pods(0))}
		w.ledger.Note(w.now, w.version, w.quota.Status.Used)
		t.Repeat(map[string]func(*rapid.T){
			"charge": func(t *rapid.T) {
				if w.used() >= hard {
					t.Skip("full")
				}
				late := rapid.Int64Range(0, int64(Settle)-1).Draw(t, "late")
				w.version++
				w.quota = quota(pods(hard), pods(w.used()+1))
				if rapid.Bool().Draw(t, "stored") {
					w.flying = append(w.flying, w.now.Add(time.Duration(late)))
				}
				if rapid.Bool().Draw(t, "seen") {
					w.ledger.Note(w.now, w.version, w.quota.Status.Used)
				}
			},
			"delete": func(t *rapid.T) {
				if w.stored == 0 {
					t.Skip("nothing there")
				}
				w.stored--
			},
			"time": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.Int64Range(1, int64(2*Settle)).Draw(t, "passes")))
				w.land()
			},
			"recount": func(*rapid.T) {
				w.ledger.Note(w.now, w.version, w.quota.Status.Used)
				w.recount()
			},
			"restart": func(*rapid.T) { w.ledger = Ledger{} },
			"": func(t *rapid.T) {
				if w.used() < w.stored+int64(len(w.flying)) {
					t.Fatalf("used %d, stored %d, on their way %d", w.used(), w.stored, len(w.flying))
				}
			},
		})
		for range 3 {
			w.ledger.Note(w.now, w.version, w.quota.Status.Used)
			w.recount()
			w.now = w.now.Add(Settle)
			w.land()
		}
		if plan := w.recount(); plan.Held || w.used() != w.stored {
			t.Fatalf("used %d, stored %d: %+v", w.used(), w.stored, plan)
		}
	})
}

func TestQuiet(t *testing.T) {
	var l Ledger
	now := time.Unix(1000, 0)
	l.Note(now, 1, pods(0))
	l.Note(now.Add(300*time.Millisecond), 2, pods(0))
	if got, want := l.Quiet(now.Add(500*time.Millisecond)), 500*time.Millisecond; got != want {
		t.Errorf("quiet in %v, want %v: the second note changes nothing", got, want)
	}
	l.Note(now.Add(600*time.Millisecond), 3, pods(1))
	if got := l.Quiet(now.Add(1600 * time.Millisecond)); got != 0 {
		t.Errorf("quiet in %v", got)
	}
	for i := range 10_000 {
		l.Note(now.Add(2*time.Second+time.Duration(i)*100*time.Microsecond), uint64(4+i), pods(int64(2+i)))
	}
	if n := len(l.entries); n > kept+3 {
		t.Errorf("%d entries are kept", n)
	}
}
