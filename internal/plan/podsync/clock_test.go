package podsync_test

import (
	"testing"
	"time"

	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
)

// Whatever the clock does, a container that runs is let be, and one that has
// ended is restarted before long.
func TestClockJumps(t *testing.T) {
	exit := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "app"}}}}
	for _, jump := range []time.Duration{-100 * 24 * time.Hour, -6 * time.Hour, -11 * time.Second, -time.Second, 11 * time.Second, 6 * time.Hour, 100 * 24 * time.Hour} {
		for _, phase := range []podsync.Phase{podsync.Running, podsync.Exited} {
			c := podsync.Container{ID: "c", Name: "app", SandboxID: "s", Phase: phase, StartedAt: exit.Add(-time.Hour), Hash: podsync.Hash(&pod.Spec.Containers[0])}
			if phase == podsync.Exited {
				c.FinishedAt, c.ExitCode = exit, 1
			}
			plan := podsync.Decide(podsync.State{
				Pod: pod, Now: exit.Add(jump), Volumes: podsync.Volumes{Ready: true},
				Sandboxes: []podsync.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.42.0.2"}}}, Containers: []podsync.Container{c},
				Records: map[string]podsync.Record{"app": podsync.Record{Crash: podsync.Backoff{Delay: podsync.FirstDelay, Since: exit.Add(-time.Minute)}}.Of(&pod.Spec.Containers[0])},
			})
			switch {
			case phase == podsync.Running && len(plan.Actions) > 0:
				t.Errorf("%s: a container that runs: %+v", jump, plan.Actions)
			case phase == podsync.Exited && len(plan.Actions) == 0 && (plan.Again.IsZero() || plan.Again.Sub(exit.Add(jump)) > podsync.FirstDelay):
				t.Errorf("%s: nothing before %s: %+v", jump, plan.Again, plan.Holds)
			}
		}
	}
}
