package evict

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Signal is something that a node can run out of.
type Signal string

// The signals, by the names that thresholds use.
const (
	MemoryAvailable Signal = "memory.available"
	// AllocatableMemory is what pods together have left of what they may have.
	AllocatableMemory Signal = "allocatableMemory.available"
	DiskAvailable     Signal = "nodefs.available"
	InodesFree        Signal = "nodefs.inodesFree"
	PIDAvailable      Signal = "pid.available"
)

// Signals are all of them, in the order in which they are reclaimed.
var Signals = []Signal{MemoryAvailable, AllocatableMemory, DiskAvailable, InodesFree, PIDAvailable}

// Condition is what the node is under when there is too little.
func (s Signal) Condition() corev1.NodeConditionType {
	switch s {
	case MemoryAvailable, AllocatableMemory:
		return corev1.NodeMemoryPressure
	case PIDAvailable:
		return corev1.NodePIDPressure
	default:
		return corev1.NodeDiskPressure
	}
}

// Resource is how messages call what is low.
func (s Signal) Resource() corev1.ResourceName {
	switch s {
	case MemoryAvailable, AllocatableMemory:
		return corev1.ResourceMemory
	case InodesFree:
		return "inodes"
	case PIDAvailable:
		return "pids"
	default:
		return corev1.ResourceEphemeralStorage
	}
}

// Amount is a part of the whole, 0.1 is ten percent, or a number; where both
// are set, the smaller of the two.
type Amount struct {
	Share float64
	Count int64
}

// Of is the amount of a whole.
func (a Amount) Of(whole int64) int64 {
	part := int64(a.Share * float64(whole))
	switch {
	case a.Count == 0:
		return part
	case a.Share == 0:
		return a.Count
	}
	return min(part, a.Count)
}

// Threshold is below what something counts as too little.
type Threshold struct {
	Signal Signal
	Least  Amount
	// Grace is how long a soft threshold is put up with; a hard one has none.
	Grace time.Duration
	// Reclaim is how much more has to be free before it is over.
	Reclaim Amount
}

// Allocatable adds to hard thresholds that on the memory that pods may have
// together: it is the same as that on the machine's, as upstream.
func Allocatable(hard []Threshold) []Threshold {
	for _, t := range hard {
		if t.Signal == MemoryAvailable && t.Grace == 0 {
			t.Signal = AllocatableMemory
			return append(slices.Clone(hard), t)
		}
	}
	return hard
}

// Observation is how much there is and how much is free.
type Observation struct {
	Available, Capacity int64
}

// Config is how a node is set up.
type Config struct {
	Thresholds []Threshold
	// Transition is how long a condition holds on.
	Transition time.Duration
	// MaxGrace is how long pods have to stop for a soft threshold, in seconds.
	MaxGrace int64
}

// Memory is what is remembered from one look to the next.
type Memory struct {
	first map[Threshold]time.Time                // when it was first met
	last  map[corev1.NodeConditionType]time.Time // when there was last too little
}

// Verdict is what a look leads to.
type Verdict struct {
	// Conditions are those that the node is under.
	Conditions []corev1.NodeConditionType
	// Reclaim is the threshold to do something about, nil for none.
	Reclaim *Threshold
	// Close is true when it may soon be too little.
	Close bool
}

// Look compares what is there with the thresholds.
func (c Config) Look(m Memory, seen map[Signal]Observation, now time.Time) (Memory, Verdict) {
	next := Memory{first: map[Threshold]time.Time{}, last: map[corev1.NodeConditionType]time.Time{}}
	for condition, at := range m.last {
		if now.Sub(at) < c.Transition {
			next.last[condition] = at
		}
	}
	var v Verdict
	var due []Threshold
	for _, t := range c.Thresholds {
		o, known := seen[t.Signal]
		least := t.Least.Of(o.Capacity)
		if !known || least <= 0 {
			continue
		}
		v.Close = v.Close || o.Available < 2*least
		since, before := m.first[t]
		if o.Available >= least && (!before || now.Sub(since) < t.Grace || o.Available >= least+t.Reclaim.Of(o.Capacity)) {
			continue
		}
		if !before {
			since = now
		}
		next.first[t] = since
		next.last[t.Signal.Condition()] = now
		if now.Sub(since) >= t.Grace {
			due = append(due, t)
		}
	}
	for _, condition := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		if _, under := next.last[condition]; under {
			v.Conditions = append(v.Conditions, condition)
		}
	}
	slices.SortStableFunc(due, func(a, b Threshold) int {
		return slices.Index(Signals, a.Signal) - slices.Index(Signals, b.Signal)
	})
	if len(due) > 0 {
		v.Reclaim = &due[0]
	}
	return next, v
}

// quantity is a number in the notation of its signal.
func (s Signal) quantity(n int64) string {
	format := resource.BinarySI
	if s == InodesFree || s == PIDAvailable {
		format = resource.DecimalSI
	}
	return resource.NewQuantity(n, format).String()
}

func (t Threshold) message(o Observation) string {
	// A share is written as upstream computes it.
	least := resource.NewQuantity(t.Least.Of(o.Capacity), resource.BinarySI)
	return fmt.Sprintf("The node was low on resource: %v. Threshold quantity: %v, available: %v. ", t.Signal.Resource(), least, t.Signal.quantity(o.Available))
}
