package resourcequota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// kept bounds how finely a Ledger remembers: so many entries in each Settle.
const kept = 8

// Ledger remembers what one quota said was used, and when.
type Ledger struct {
	entries []entry
	version uint64
	changed time.Time
}

type entry struct {
	at   time.Time
	used corev1.ResourceList
}

// Note remembers that the quota of this version says this, as seen now. What
// is older than something noted before is ignored.
func (l *Ledger) Note(now time.Time, version uint64, used corev1.ResourceList) {
	last := len(l.entries) - 1
	if last < 0 || version > l.version && !same(l.entries[last].used, used) {
		l.changed = now
	}
	switch {
	case last >= 0 && version <= l.version:
		return
	case last >= 0 && fell(l.entries[last].used, used):
		// Somebody else lowers it too: what was before says nothing about what
		// has been charged since.
		l.entries = nil
	case last >= 1 && now.Sub(l.entries[last-1].at) < Settle/kept:
		l.entries = l.entries[:last]
	}
	l.version = version
	l.entries = append(l.entries, entry{now, used.DeepCopy()})
	l.forget(now)
}

// Wrote remembers that what the quota said was replaced by a count: the
// difference is no charge, neither before nor after.
func (l *Ledger) Wrote(now time.Time, version uint64, before, after corev1.ResourceList) {
	for _, e := range l.entries {
		for name, q := range after {
			was := e.used[name]
			was = was.DeepCopy()
			was.Add(minus(q, before[name]))
			e.used[name] = was
		}
	}
	l.version, l.changed = version, now
	l.entries = append(l.entries, entry{now, after.DeepCopy()})
	l.forget(now)
}

// forget drops what is older than the newest entry that has settled.
func (l *Ledger) forget(now time.Time) {
	for len(l.entries) > 1 && now.Sub(l.entries[1].at) >= Settle {
		l.entries = l.entries[1:]
	}
}

// Settled is what the quota would say now without the charges of the last
// moment; nil if it has not been known for that long.
func (l *Ledger) Settled(now time.Time) corev1.ResourceList {
	l.forget(now)
	if len(l.entries) == 0 || now.Sub(l.entries[0].at) < Settle {
		return nil
	}
	return l.entries[0].used
}

// Quiet is how long it takes until the last change has settled; 0 when it has.
func (l *Ledger) Quiet(now time.Time) time.Duration {
	return max(0, Settle-now.Sub(l.changed))
}

func fell(before, after corev1.ResourceList) bool {
	for name, q := range before {
		if next, ok := after[name]; ok && next.Cmp(q) < 0 {
			return true
		}
	}
	return false
}
