package statefulset

// Rules are the planner's deliberate deviations from upstream, each off in the
// zero value: with Rules{} the planner asks for exactly what upstream does.
type Rules struct {
	// RepairForcedRollback replaces, one at a time and before the ordering gate,
	// a pod that is not ready and of a revision that is given up (neither current
	// nor update), or that never started and is not of the update revision. A
	// set that is stuck on a broken revision so recovers when its template is
	// good again. Upstream waits for the broken pod for ever.
	RepairForcedRollback bool
	// AvailableBeforeCurrent moves currentRevision only when every pod has been
	// ready for minReadySeconds. Upstream looks at readiness alone.
	AvailableBeforeCurrent bool
	// UpdateParallelPods gives a pod that a Parallel set without rollingUpdate
	// makes during an update the update revision. Upstream counts how many pods
	// are current and gives that many of the lowest ordinals the current one; a
	// low pod that is lost while a higher one is not updated yet is then made and
	// deleted for ever.
	UpdateParallelPods bool
	// OrderedWindow lets an OrderedReady set whose rollingUpdate.maxUnavailable is
	// more than one have that many pods on their way at once, started in order.
	// Upstream takes as many down and brings them up again one by one.
	OrderedWindow bool
	// Conditions publishes Available, Progressing and Held. Upstream has none.
	Conditions bool
	// BackOff lets an ordinal whose pods keep ending wait longer and longer for
	// the next one. Upstream makes them again as fast as it can.
	BackOff bool
	// GrowClaims lets the storage that a claim template asks for grow, and
	// templates be added: claims that exist grow with their template, a new one
	// is used when its pod is made again. Upstream's templates never change.
	GrowClaims bool
	// ServeRecreate honours the Recreate strategy, which upstream 1.37 has behind
	// a gate that is off by default (KEP-3541).
	ServeRecreate bool
	// StatusWithOutcome lets a status wait, for a moment, for what became of the
	// actions that it was taken before, so that one write says both. The
	// controller sees to it; no plan depends on it. Upstream writes it at once.
	StatusWithOutcome bool
}

// Upstream is upstream's behaviour.
var Upstream = Rules{}

// Production is what Berth's controller runs with.
var Production = Rules{RepairForcedRollback: true, AvailableBeforeCurrent: true, UpdateParallelPods: true, OrderedWindow: true, Conditions: true, BackOff: true, GrowClaims: true, ServeRecreate: true, StatusWithOutcome: true}
