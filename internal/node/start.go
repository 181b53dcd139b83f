package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/node/image"
	"berth.dev/berth/internal/plan/podsync"
	grpcstatus "google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// failed is why a container could not be started.
type failed struct {
	reason, message string
	image           string // that could not be had, when it is not the container's
}

func (f *failed) Error() string { return f.message }

func (w *worker) startContainer(pod *corev1.Pod, action podsync.Action) {
	err := w.start(pod, action)
	stopped := w.going.Err() != nil
	if err != nil && w.ctx.Err() == nil {
		// A request that failed may have left something behind.
		w.agent.relistPod(w.ctx, w)
	}
	w.change(func() {
		w.busy.Start = ""
		if errors.Is(err, errSandboxEnded) {
			return // the next sync sees that, and starts the container in a new one
		}
		record := w.records[action.Container]
		if c := containerNamed(pod, action.Container); c != nil {
			record = record.Of(c)
		}
		record.Crash = action.Crash
		var why *failed
		switch {
		case err == nil:
			record = record.Started()
		case stopped:
		case errors.As(err, &why):
			record = record.Failed(why.reason, why.message, w.agent.cfg.Clock.Now())
			record.Failure.Image = why.image
		default:
			record = record.Failed(podsync.CreateContainerError, err.Error(), w.agent.cfg.Clock.Now())
		}
		w.records[action.Container] = record
	})
	var why *failed
	if errors.As(err, &why) && why.reason == podsync.CreateContainerConfigError && !stopped {
		w.awaitSources(pod, action.Container)
	}
}

// errSandboxEnded stops a restart: the container ended because its sandbox did.
var errSandboxEnded = errors.New("the pod's sandbox has ended")

// start pulls, creates, starts and greets one container.
func (w *worker) start(pod *corev1.Pod, action podsync.Action) error {
	c := containerNamed(pod, action.Container)
	if c == nil {
		return &failed{reason: podsync.CreateContainerError, message: "the pod has no container " + action.Container}
	}
	w.mu.Lock()
	sandbox := podsync.Sandbox{}
	for _, sb := range w.sandboxes {
		if sandbox.ID == "" || sb.Attempt > sandbox.Attempt {
			sandbox = sb
		}
	}
	w.mu.Unlock()

	if action.Attempt > 0 && !w.sandboxReady(sandbox.ID) {
		return errSandboxEnded
	}

	tell := func(kind, reason, message string) { w.agent.event(pod, c.Name, kind, reason, message) }
	fail := func(reason string, err error) error {
		message := err.Error()
		if s, ok := grpcstatus.FromError(err); ok {
			message = s.Message()
		}
		message = lasting(message)
		if w.going.Err() == nil {
			tell(corev1.EventTypeWarning, "Failed", "Error: "+message)
		}
		return &failed{reason: reason, message: message}
	}

	users, err := w.agent.usersOf(pod)
	if err != nil {
		return fail(podsync.CreateContainerConfigError, err)
	}
	sandboxConfig, err := w.sandboxConfig(pod, sandbox.Attempt, users)
	if err != nil {
		return fail(podsync.CreateContainerConfigError, err)
	}
	volumes, err := w.imageVolumes(pod, c, sandboxConfig)
	if why := (*failed)(nil); errors.As(err, &why) {
		if w.going.Err() == nil {
			tell(corev1.EventTypeWarning, "Failed", "Error: "+why.reason)
		}
		return why
	}
	if err != nil {
		return fail(podsync.ErrImagePull, err)
	}
	img, err := w.agent.images.Ensure(w.going, pod, c, sandboxConfig, tell)
	if err != nil {
		var why *image.Error
		if errors.As(err, &why) {
			if w.going.Err() == nil {
				tell(corev1.EventTypeWarning, "Failed", "Error: "+why.Reason)
			}
			return &failed{reason: why.Reason, message: why.Message}
		}
		return fail(podsync.ErrImagePull, err)
	}
	config, err := w.containerConfig(pod, c, action.Attempt, img, sandbox, volumes, users)
	if err != nil {
		return fail(podsync.CreateContainerConfigError, err)
	}
	if w.going.Err() != nil {
		return w.going.Err()
	}

	// From here on a request is not broken off: its outcome has to be known.
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	created, err := w.agent.cri.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: sandbox.ID, Config: config, SandboxConfig: sandboxConfig,
	})
	if err != nil {
		return fail(podsync.CreateContainerError, err)
	}
	w.agent.linkLog(pod, c.Name, created.ContainerId, filepath.Join(sandboxConfig.LogDirectory, config.LogPath))
	w.mu.Lock()
	w.actual[created.ContainerId] = c.Resources
	w.mu.Unlock()
	tell(corev1.EventTypeNormal, "Created", "Container created")
	if w.fenced() { // since it was decided; what starts a moment too late the fence still finds
		return fail(podsync.CreateContainerError, errFenced)
	}
	w.prove(created.ContainerId)
	defer w.prove("")
	if _, err := w.agent.cri.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return fail(podsync.RunContainerError, err)
	}
	if err := w.networkClear(pod, sandbox.ID, created.ContainerId); err != nil {
		return err
	}
	w.prove("")
	tell(corev1.EventTypeNormal, "Started", "Container started")
	w.agent.refresh(ctx, w, sandbox.ID, created.ContainerId)
	return w.postStart(pod, c, created.ContainerId)
}

// sandboxReady asks the runtime: when a sandbox ends, the end of a container in
// it may be told first.
func (w *worker) sandboxReady(id string) bool {
	ctx, cancel := context.WithTimeout(w.going, callTimeout)
	defer cancel()
	st, err := w.agent.cri.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	if err != nil {
		return true // what is wrong shows when the container is created
	}
	sb := cri.DecodeSandbox(st.Status)
	w.merge([]podsync.Sandbox{sb}, nil)
	return sb.Ready
}

// postStart greets the container; one whose hook fails is killed.
func (w *worker) postStart(pod *corev1.Pod, c *corev1.Container, id string) error {
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return nil
	}
	err := w.hook(w.going, pod, c.Lifecycle.PostStart, c, id, hookTimeout)
	if err == nil {
		return nil
	}
	if w.going.Err() != nil {
		return w.going.Err()
	}
	w.agent.event(pod, c.Name, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	w.agent.event(pod, c.Name, corev1.EventTypeNormal, "Killing", "FailedPostStartHook")
	grace := int64(30)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		grace = max(*pod.Spec.TerminationGracePeriodSeconds, 2)
	}
	_ = w.halt(w.ctx, id, time.Duration(grace)*time.Second) // the next sync sees whether it runs on
	return &failed{reason: podsync.PostStartHookError, message: err.Error()}
}

// containerConfig is the request for one container.
func (w *worker) containerConfig(pod *corev1.Pod, c *corev1.Container, attempt int32, img image.Image, sandbox podsync.Sandbox, images map[string]*runtimeapi.ImageSpec, users *runtimeapi.UserNamespace) (*runtimeapi.ContainerConfig, error) {
	env, err := w.environment(pod, c, sandbox)
	if err != nil {
		return nil, err
	}
	mounts, err := w.mountsOf(pod, c, attempt, env, sandbox, images)
	if err != nil {
		return nil, err
	}
	devices, err := w.devices(pod, c)
	if err != nil {
		return nil, err
	}
	return cri.ContainerConfig(pod, c, cri.ContainerOptions{
		Attempt: attempt, ImageRef: img.Ref, Image: img.User, Env: env, Mounts: mounts, Devices: devices, Users: users,
		OOMScore: w.agent.oomScore(pod, c), PageSizes: pageSizes(), SeccompDir: filepath.Join(w.agent.cfg.Dir.Kubelet(), "seccomp"), Target: w.target(pod, c.Name),
	})
}

// target is the container that an ephemeral container looks into.
func (w *worker) target(pod *corev1.Pod, name string) string {
	for i := range pod.Spec.EphemeralContainers {
		e := &pod.Spec.EphemeralContainers[i]
		if e.Name != name || e.TargetContainerName == "" {
			continue
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for id, r := range w.containers {
			if r.Name == e.TargetContainerName && r.Phase == podsync.Running {
				return id
			}
		}
	}
	return ""
}
