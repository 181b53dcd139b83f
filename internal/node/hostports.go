package node

import (
	"fmt"
	"slices"
	"time"

	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
)

// HostPorts leads what comes to the node's own ports to pods.
type HostPorts interface {
	// Set makes these a pod's mappings; none takes away what there were.
	Set(pod string, list []podspec.PortMapping) error
	// Replace makes these the only mappings, by pod.
	Replace(all map[string][]podspec.PortMapping) error
}

// wantedPorts are the pod's mappings as long as it has a sandbox that was not
// stopped. The lock is held.
func (w *worker) wantedPorts() []podspec.PortMapping {
	newest := podsync.Sandbox{}
	for _, sb := range w.sandboxes {
		if newest.ID == "" || sb.Attempt > newest.Attempt {
			newest = sb
		}
	}
	if newest.ID == "" || w.stopped[newest.ID] {
		return nil
	}
	return podspec.PortMappings(w.pod, newest.IPs)
}

// mapPorts brings the node's ports up to date. Only run calls it.
func (w *worker) mapPorts(pod *corev1.Pod, wanted []podspec.PortMapping) (again time.Time) {
	if w.agent.cfg.HostPorts == nil || slices.Equal(w.mapped, wanted) {
		return time.Time{}
	}
	if err := w.agent.cfg.HostPorts.Set(string(w.uid), wanted); err != nil {
		w.agent.event(pod, "", corev1.EventTypeWarning, podsync.FailedSandbox, fmt.Sprintf("Failed to map the pod's host ports: %v", err))
		return w.agent.cfg.Clock.Now().Add(retryAfter)
	}
	w.mapped = wanted
	return time.Time{}
}

// adoptPorts makes the mappings of the pods that run the only ones: those that
// an earlier agent left behind go, the others serve without a gap.
func (a *Agent) adoptPorts() {
	if a.cfg.HostPorts == nil {
		return
	}
	all := map[string][]podspec.PortMapping{}
	for _, w := range a.all() {
		w.mu.Lock()
		if list := w.wantedPorts(); len(list) > 0 {
			all[string(w.uid)] = list
		}
		w.mu.Unlock()
	}
	if err := a.cfg.HostPorts.Replace(all); err != nil {
		a.cfg.Log.Warn("mapping the host ports of pods failed", "error", err)
	}
}
