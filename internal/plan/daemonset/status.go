package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/internal/plan/podready"
)

// Status counts what was observed before the plan was carried out. Of several
// pods on a node the senior one counts.
func Status(f Facts) appsv1.DaemonSetStatus {
	status := appsv1.DaemonSetStatus{
		ObservedGeneration: f.Set.Generation,
		CollisionCount:     f.Set.Status.CollisionCount, Conditions: f.Set.Status.Conditions,
	}
	for _, s := range f.sites() {
		switch {
		case !s.node:
		case !s.run:
			if len(s.pods) > 0 {
				status.NumberMisscheduled++
			}
		default:
			status.DesiredNumberScheduled++
			if len(s.pods) == 0 {
				continue
			}
			status.CurrentNumberScheduled++
			pod := s.pods[0]
			if podready.Ready(pod) {
				status.NumberReady++
			}
			if f.available(pod) {
				status.NumberAvailable++
			}
			if f.current(pod) {
				status.UpdatedNumberScheduled++
			}
		}
	}
	status.NumberUnavailable = status.DesiredNumberScheduled - status.NumberAvailable
	return status
}
