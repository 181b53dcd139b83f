package app

import (
	"context"
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
		Changed: a.fenceChanged, Covered: a.promise, Log: a.log.With("component", "fence"),
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
	a.promise()
}

// promise has the control plane know at once what this node's fence stops.
func (a *agent) promise() {
	if r := a.told.Load(); r != nil {
		r.Renew()
	}
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

// fenceCondition is what this node says of its fence.
func (a *agent) fenceCondition() []corev1.NodeCondition {
	state := nodeloss.FenceState{After: a.cfg.FenceAfter}
	state.Covered, state.Runs = a.fence.Status()
	if node := a.registration.Node(); node != nil {
		state.Said = hasCondition(node, nodeloss.NodeCondition)
	}
	if c := nodeloss.Fence(state); c != nil {
		return []corev1.NodeCondition{*c}
	}
	return nil
}

func hasCondition(node *corev1.Node, kind corev1.NodeConditionType) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == kind {
			return true
		}
	}
	return false
}
