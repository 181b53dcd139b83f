// Package probe decides when a container is probed and what the answers mean.
// It is pure: a Tracker is a value, every method returns the next one.
//
// Liveness and startup probes keep upstream's timing at its most lenient phase:
// a try at every whole period after the container started, the first one not
// before initialDelaySeconds.
//
// Readiness is tried at once after initialDelaySeconds and then at growing
// intervals (10, 20, 40 ms … up to the period) until it first succeeds. Those
// extra tries can only help: a failed one counts neither towards
// failureThreshold nor as an event. An exec probe, which costs a process, never
// runs sooner than ten times its last duration.
package probe
