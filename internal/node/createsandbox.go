package node

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podspec"
	"berth.dev/berth/internal/plan/podsync"
)

// sandboxTimeout is twice the usual: a sandbox waits for its address.
const sandboxTimeout = 2 * callTimeout

// sandboxesAtOnce is more than a machine can make progress with, and few enough
// that pods which are deleted meanwhile need not be made first.
const sandboxesAtOnce = 32

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
			w.sandboxRec.Failure = podsync.FailedCreatingSandbox(w.sandboxRec.Failure, lasting(err.Error()), w.agent.cfg.Clock.Now())
		}
	})
	if err != nil && !stopped {
		w.agent.event(pod, "", corev1.EventTypeWarning, podsync.FailedSandbox, "Failed to create pod sandbox: "+lasting(err.Error()))
	}
}

func (w *worker) runSandbox(pod *corev1.Pod, attempt uint32) error {
	handler, err := w.runtimeHandler(pod)
	if err != nil {
		return err
	}
	users, err := w.agent.giveUsers(pod, handler)
	if err != nil {
		return err
	}
	config, err := w.sandboxConfig(pod, attempt, users)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return fmt.Errorf("making the pod's log directory: %w", err)
	}
	if err := makeCgroup(config.Linux.CgroupParent, podspec.PodResources(pod)); err != nil {
		return err
	}
	if err := limitHugePages(cgroupRoot, config.Linux.CgroupParent, unified(cgroupRoot), podspec.PodHugePages(pod, pageSizes())); err != nil {
		return fmt.Errorf("limiting the pod's huge pages: %w", err)
	}
	w.agent.sharesMoved()
	select {
	case w.agent.making <- struct{}{}:
		defer func() { <-w.agent.making }()
	case <-w.going.Done():
		return w.going.Err()
	}
	// Not broken off when the pod is to end: the runtime makes it all the same,
	// and what it made has to be known to be taken down.
	ctx, cancel := context.WithTimeout(w.ctx, sandboxTimeout)
	defer cancel()
	res, err := w.agent.cri.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
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
func (w *worker) sandboxConfig(pod *corev1.Pod, attempt uint32, users *runtimeapi.UserNamespace) (*runtimeapi.PodSandboxConfig, error) {
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
		Users:         users,
		Seccomp:       a.cfg.PauseSeccomp,
	})
}

func (a *Agent) logDirectory(pod *corev1.Pod) string {
	return a.cfg.Dir.LogsOf(pod.Namespace, pod.Name, string(pod.UID))
}

// runtimeHandler is the handler of the pod's runtime class. Few pods name one,
// so the API is asked each time.
func (w *worker) runtimeHandler(pod *corev1.Pod) (string, error) {
	name := pod.Spec.RuntimeClassName
	if name == nil || *name == "" {
		return "", nil
	}
	class, err := w.agent.cfg.Client.NodeV1().RuntimeClasses().Get(w.going, *name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("runtimeclass.node.k8s.io %q not found", *name) // as the kubelet's cache names it
	case err != nil:
		return "", fmt.Errorf("failed to lookup RuntimeClass %s: %w", *name, err)
	}
	return class.Handler, nil
}
