package nodeloss

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// FenceState is what a node knows of its own fence.
type FenceState struct {
	// Covered is how many pods ask for it, Runs whether it does its work.
	Covered int
	Runs    bool
	// After is how long after the last renewed lease pods are stopped.
	After time.Duration
	// Said: the node's status has the condition already.
	Said bool
}

// Fence is what a node says of its fence, nil while no pod has ever asked for one.
func Fence(s FenceState) *corev1.NodeCondition {
	c := &corev1.NodeCondition{Type: NodeCondition, Status: corev1.ConditionTrue, Reason: "FenceRuns"}
	switch {
	case s.Covered > 0 && s.Runs:
		c.Message = fmt.Sprintf("pods of StatefulSets with berth.dev/node-loss are stopped %s after the last renewed lease", s.After)
	case s.Covered > 0:
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "FenceNotRunning", "berth-fence does not run: pods of StatefulSets with berth.dev/node-loss are not replaced should this node be lost"
	case s.Said:
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "NothingToFence", "no pod here is of a StatefulSet with berth.dev/node-loss"
	default:
		return nil
	}
	return c
}
