package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sandboxTimeout is twice the usual: a sandbox waits for its address.
const sandboxTimeout = 2 * callTimeout

func (w *worker) createSandbox(pod *corev1.Pod, action podsync.Action) {
	err := w.runSandbox(pod, uint32(action.Attempt))
	stopped := w.going.Err() != nil
	if err != nil {
		// The runtime may have made it all the same.
		w.agent.relistPod(w.ctx, w)
	}
	w.change(func() {
		w.busy.Sandbox = false
		switch {
		case err == nil:
			w.sandboxRec.Failure = nil
		case !stopped:
			w.sandboxRec.Failure = podsync.FailedCreatingSandbox(w.sandboxRec.Failure, err.Error(), w.agent.cfg.Clock.Now())
		}
	})
	if err != nil && !stopped {
		w.agent.event(pod, "", corev1.EventTypeWarning, podsync.FailedSandbox, fmt.Sprintf("Failed to create pod sandbox: %v", err))
	}
}

func (w *worker) runSandbox(pod *corev1.Pod, attempt uint32) error {
	config, err := w.sandboxConfig(pod, attempt)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return fmt.Errorf("making the pod's log directory: %w", err)
	}
	if err := makeCgroup(config.Linux.CgroupParent, podspec.PodResources(pod)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.going, sandboxTimeout)
	defer cancel()
	res, err := w.agent.cri.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: runtimeHandler(pod)})
	if err != nil {
		return err // upstream's event shows it as it is
	}
	st, err := w.agent.cri.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: res.PodSandboxId})
	if err != nil {
		return fmt.Errorf("asking for the new sandbox: %w", err)
	}
	w.merge([]podsync.Sandbox{cri.DecodeSandbox(st.Status)}, nil)
	return nil
}

// sandboxConfig is the pod's sandbox request; containers carry it too.
func (w *worker) sandboxConfig(pod *corev1.Pod, attempt uint32) (*runtimeapi.PodSandboxConfig, error) {
	a := w.agent
	var servers []string
	for _, ip := range a.cfg.ClusterDNS {
		servers = append(servers, ip.String())
	}
	resolver, left := podspec.PodResolver(pod, servers, a.cfg.ClusterDomain, a.resolver)
	if left != "" {
		a.event(pod, "", corev1.EventTypeWarning, "DNSConfigForming", left)
	}
	return cri.SandboxConfig(pod, cri.SandboxOptions{
		Attempt:       attempt,
		LogDirectory:  a.logDirectory(pod),
		CgroupParent:  a.cgroup(pod),
		Resolver:      resolver,
		ClusterDomain: a.cfg.ClusterDomain,
	})
}

func (a *Agent) logDirectory(pod *corev1.Pod) string {
	return filepath.Join(a.cfg.Dir.PodLogs(), fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID))
}

// runtimeHandler is the handler of the pod's runtime class; only the default
// one is known yet.
func runtimeHandler(*corev1.Pod) string { return "" }
