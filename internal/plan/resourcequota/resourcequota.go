// Package resourcequota decides what the status of a resource quota should say.
//
// The API server charges an object to a quota before it stores the object. So
// for a moment there are charges that no list of objects shows, and a count
// alone must not lower what a quota says is used. A charge that is older than
// Settle has become an object, or never will.
package resourcequota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Settle is how long an object that is charged takes at most until lists show it.
const Settle = time.Second

// State is what is known of one quota.
type State struct {
	// Quota is the quota to write to.
	Quota *corev1.ResourceQuota
	// Counted is what objects use; names that nobody can count are not in it.
	Counted corev1.ResourceList
	// Exact says that the API itself was asked, for the quota first and then
	// for the objects. A cache may be behind.
	Exact bool
	// Settled is what the quota would say had there been no charge in the last
	// moment, as a Ledger knows it; nil means that nobody knows.
	Settled corev1.ResourceList
}

// Plan is what to do.
type Plan struct {
	// Status is what to write if it is not nil.
	Status *corev1.ResourceQuotaStatus
	// Ask says that the cache does not agree with the quota: ask the API.
	Ask bool
	// Held says that less may be in use, which must be looked at again when
	// the latest charges have settled.
	Held bool
}

// Decide compares a quota's status with what was counted.
func Decide(s State) Plan {
	status := s.Quota.Status
	next := corev1.ResourceQuotaStatus{Hard: s.Quota.Spec.Hard.DeepCopy(), Used: corev1.ResourceList{}}
	if next.Hard == nil {
		next.Hard = corev1.ResourceList{}
	}
	plan := Plan{}
	for name := range s.Quota.Spec.Hard {
		used, had := status.Used[name]
		counted, known := s.Counted[name]
		switch {
		case !known:
			if had {
				next.Used[name] = used.DeepCopy()
			}
			continue
		case had && counted.Cmp(used) < 0:
			least := counted.DeepCopy()
			if s.Settled == nil {
				least = used.DeepCopy()
			} else if late := minus(used, s.Settled[name]); late.Sign() > 0 {
				least.Add(late)
			}
			if least.Cmp(used) > 0 {
				least = used.DeepCopy()
			}
			plan.Held = plan.Held || least.Cmp(counted) > 0
			next.Used[name] = least
		default:
			next.Used[name] = counted.DeepCopy()
		}
	}
	if status.Hard != nil && status.Used != nil && equality.Semantic.DeepEqual(status.Hard, next.Hard) && same(status.Used, next.Used) && !plan.Held {
		return plan
	}
	if !s.Exact {
		return Plan{Ask: true}
	}
	if status.Hard == nil || status.Used == nil || !equality.Semantic.DeepEqual(status.Hard, next.Hard) || !same(status.Used, next.Used) {
		plan.Status = &next
	}
	return plan
}

func minus(a, b resource.Quantity) resource.Quantity {
	a = a.DeepCopy()
	a.Sub(b)
	return a
}

func same(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, q := range a {
		if other, ok := b[name]; !ok || q.Cmp(other) != 0 {
			return false
		}
	}
	return true
}
