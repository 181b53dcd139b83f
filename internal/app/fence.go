package app

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/fence"
	"berth.dev/berth/internal/plan/nodeloss"
)

// openFence takes over what an earlier run had fenced.
func (a *agent) openFence() (err error) {
	a.fence, err = fence.Open(fence.Config{
		Dir: a.dir.Fence(), Program: filepath.Join(a.bundle, "berth-fence"), After: a.cfg.FenceAfter,
		Changed: a.fenceChanged, Log: a.log.With("component", "fence"),
	})
	return err
}

// runFence keeps the fence running while pods ask for one.
func (a *agent) runFence(ctx context.Context, ready func()) error {
	ready()
	a.fence.Run(ctx)
	return nil
}

// fenceChanged tells pods and the API.
func (a *agent) fenceChanged() {
	if pods := a.pods.Load(); pods != nil {
		pods.FenceChanged()
	}
	a.registration.Trigger()
}

// renewal is what the lease promises: which pods this node stops by itself.
func (a *agent) renewal() (nodeloss.Promise, func()) {
	r := a.fence.Renewing()
	p := nodeloss.Promise{After: r.After}
	for _, uid := range r.Pods {
		p.Pods = append(p.Pods, types.UID(uid))
	}
	return p, func() { a.fence.Renewed(r) }
}

// fenceCondition is there as long as a pod asks for a fence, or has asked.
func (a *agent) fenceCondition() []corev1.NodeCondition {
	covered, runs := a.fence.Status()
	c := corev1.NodeCondition{Type: nodeloss.NodeCondition, Status: corev1.ConditionTrue, Reason: "FenceRuns"}
	switch node := a.registration.Node(); {
	case covered > 0 && runs:
		c.Message = fmt.Sprintf("pods of StatefulSets with berth.dev/node-loss are stopped %s after the last renewed lease", a.cfg.FenceAfter)
	case covered > 0:
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "FenceNotRunning", "berth-fence does not run: pods of StatefulSets with berth.dev/node-loss are not replaced should this node be lost"
	case node != nil && hasCondition(node, c.Type):
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "NothingToFence", "no pod here is of a StatefulSet with berth.dev/node-loss"
	default:
		return nil
	}
	return []corev1.NodeCondition{c}
}

func hasCondition(node *corev1.Node, kind corev1.NodeConditionType) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == kind {
			return true
		}
	}
	return false
}
