package node

import (
	"context"
	"fmt"
	"time"

	"berth.dev/berth/internal/node/probe"
	"berth.dev/berth/internal/plan/podsync"
	planprobe "berth.dev/berth/internal/plan/probe"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// followProbes probes exactly the containers that run. The lock is held.
func (w *worker) followProbes() {
	for id, set := range w.sets {
		if w.containers[id].Phase != podsync.Running {
			set.Stop()
			delete(w.sets, id)
			delete(w.probes, id)
		}
	}
	for id, r := range w.containers {
		if w.phaseOf(r) != podsync.Running || w.sets[id] != nil {
			continue
		}
		c := containerNamed(w.pod, r.Name)
		if c == nil || c.LivenessProbe == nil && c.ReadinessProbe == nil && c.StartupProbe == nil {
			continue
		}
		ip := ""
		if ips := w.podIPs(); len(ips) > 0 {
			ip = ips[0]
		}
		set := probe.Start(w.ctx, probe.Target{
			Pod: w.pod, Container: c, ContainerID: id, IP: ip, Started: r.StartedAt,
		}, w.agent.exec, w.agent.cfg.Clock, inherited(w.pod, w.agent.runtime, id), w.report(id, w.pod, c.Name))
		w.sets[id] = set
		w.probes[id] = set.Initial()
	}
}

// report takes verdicts in; they may arrive before followProbes has returned.
func (w *worker) report(id string, pod *corev1.Pod, container string) probe.Report {
	return probe.Report{
		Verdict: func(kind planprobe.Kind, verdict planprobe.Verdict) {
			w.change(func() {
				v, ok := w.probes[id]
				if !ok {
					return
				}
				switch kind {
				case planprobe.Startup:
					v.Startup = verdict
				case planprobe.Readiness:
					v.Readiness = verdict
				case planprobe.Liveness:
					v.Liveness = verdict
				}
				w.probes[id] = v
			})
		},
		Unhealthy: func(kind planprobe.Kind, output string, err error) {
			message := fmt.Sprintf("%s probe failed: %s", kind, output)
			if err != nil {
				message = fmt.Sprintf("%s probe errored and resulted in %s state: %s", kind, "unknown", err)
			}
			w.agent.event(pod, container, corev1.EventTypeWarning, "Unhealthy", message)
		},
	}
}

func (w *worker) stopKilling() {
	for _, set := range w.sets {
		set.StopKilling()
	}
}

func (w *worker) stopProbes() {
	for _, set := range w.sets {
		set.Stop()
	}
}

// podIPs are the pod's addresses. The lock is held.
func (w *worker) podIPs() []string {
	if w.pod.Spec.HostNetwork {
		return w.agent.hostIPs()
	}
	newest := podsync.Sandbox{}
	for _, sb := range w.sandboxes {
		if newest.ID == "" || sb.Attempt > newest.Attempt {
			newest = sb
		}
	}
	return newest.IPs
}

// exec runs a command in a container.
func (a *Agent) exec(ctx context.Context, id string, command []string, timeout time.Duration) ([]byte, int32, error) {
	// Upstream waits a moment longer than the runtime is asked to.
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second)
	defer cancel()
	res, err := a.cri.ExecSync(ctx, &runtimeapi.ExecSyncRequest{
		ContainerId: id, Cmd: command, Timeout: int64((timeout + time.Second - 1) / time.Second),
	})
	if err != nil {
		if code := grpcstatus.Code(err); code == codes.DeadlineExceeded || ctx.Err() != nil {
			return nil, 0, fmt.Errorf("%w: %w", probe.ErrTimeout, err)
		}
		return nil, 0, err
	}
	return append(res.Stdout, res.Stderr...), res.ExitCode, nil
}
