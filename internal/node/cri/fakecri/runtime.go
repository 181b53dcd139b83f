package fakecri

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Version answers as containerd does.
func (r *Runtime) Version(_ context.Context, q *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	r.mu.Lock()
	fail := r.Fail
	r.mu.Unlock()
	if fail != nil {
		if err := fail("Version", q); err != nil {
			return nil, err
		}
	}
	return &runtimeapi.VersionResponse{RuntimeName: "containerd", RuntimeApiVersion: "v1"}, nil
}

// RunPodSandbox makes a sandbox.
func (r *Runtime) RunPodSandbox(_ context.Context, q *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	if err := r.begin("RunPodSandbox", q.Config.Metadata.Name, q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sandboxes {
		if s.Config.Metadata.Uid == q.Config.Metadata.Uid && s.Config.Metadata.Attempt == q.Config.Metadata.Attempt {
			return nil, status.Errorf(codes.Unknown, "failed to reserve sandbox name: name is reserved for %q", s.ID)
		}
	}
	s := &Sandbox{ID: r.id("sandbox"), Config: q.Config, Created: time.Now()}
	s.IP = fmt.Sprintf("10.42.0.%d", r.next)
	r.sandboxes[s.ID] = s
	r.send(s.ID, s, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	r.send(s.ID, s, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: s.ID}, nil
}

// StopPodSandbox stops a sandbox and what runs in it.
func (r *Runtime) StopPodSandbox(_ context.Context, q *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	if err := r.begin("StopPodSandbox", q.PodSandboxId, q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	s := r.sandboxes[q.PodSandboxId]
	r.mu.Unlock()
	if s != nil {
		r.CrashSandbox(s.ID)
	}
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// RemovePodSandbox removes a sandbox and its containers.
func (r *Runtime) RemovePodSandbox(_ context.Context, q *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	if err := r.begin("RemovePodSandbox", q.PodSandboxId, q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[q.PodSandboxId]
	if s == nil {
		return &runtimeapi.RemovePodSandboxResponse{}, nil
	}
	for id, c := range r.containers {
		if c.Sandbox == s {
			r.exit(c, 137)
			delete(r.containers, id)
		}
	}
	delete(r.sandboxes, s.ID)
	r.send(s.ID, s, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// PodSandboxStatus describes a sandbox.
func (r *Runtime) PodSandboxStatus(_ context.Context, q *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[q.PodSandboxId]
	if s == nil {
		return nil, missing("sandbox", q.PodSandboxId)
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: s.status()}, nil
}

// ListPodSandbox lists sandboxes by label.
func (r *Runtime) ListPodSandbox(_ context.Context, q *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListPodSandboxResponse{}
	for _, s := range r.sandboxes {
		if selected(s.Config.Labels, q.GetFilter().GetLabelSelector()) {
			out.Items = append(out.Items, &runtimeapi.PodSandbox{
				Id: s.ID, Metadata: s.Config.Metadata, State: s.State, Labels: s.Config.Labels, CreatedAt: s.Created.UnixNano(),
			})
		}
	}
	return out, nil
}

func selected(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// CreateContainer makes a container.
func (r *Runtime) CreateContainer(_ context.Context, q *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	if err := r.begin("CreateContainer", fmt.Sprintf("%s/%d", q.Config.Metadata.Name, q.Config.Metadata.Attempt), q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[q.PodSandboxId]
	if s == nil {
		return nil, missing("sandbox", q.PodSandboxId)
	}
	for _, c := range r.containers {
		if c.Sandbox.Config.Metadata.Uid == s.Config.Metadata.Uid && c.Config.Metadata.Name == q.Config.Metadata.Name && c.Config.Metadata.Attempt == q.Config.Metadata.Attempt {
			return nil, status.Errorf(codes.Unknown, "failed to reserve container name: name is reserved for %q", c.ID)
		}
	}
	c := &Container{ID: r.id("container"), Sandbox: s, Config: q.Config, Created: time.Now()}
	r.containers[c.ID] = c
	r.send(c.ID, s, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	return &runtimeapi.CreateContainerResponse{ContainerId: c.ID}, nil
}

// StartContainer starts a container.
func (r *Runtime) StartContainer(_ context.Context, q *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	if err := r.begin("StartContainer", r.named(q.ContainerId), q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[q.ContainerId]
	if c == nil {
		return nil, missing("container", q.ContainerId)
	}
	c.State, c.Started = runtimeapi.ContainerState_CONTAINER_RUNNING, time.Now()
	r.send(c.ID, c.Sandbox, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	if r.OnStart != nil {
		if exit, code := r.OnStart(c); exit {
			r.exit(c, code)
		}
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

func (r *Runtime) named(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		return fmt.Sprintf("%s/%d", c.Config.Metadata.Name, c.Config.Metadata.Attempt)
	}
	return id
}

// StopContainer ends a container after StopTakes, or with SIGKILL when its
// timeout is shorter.
func (r *Runtime) StopContainer(ctx context.Context, q *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	if err := r.begin("StopContainer", r.named(q.ContainerId), q); err != nil {
		return nil, err
	}
	code, wait := int32(0), r.StopTakes
	if limit := time.Duration(q.Timeout) * time.Second; wait > limit {
		code, wait = 137, limit
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	r.Crash(q.ContainerId, code)
	return &runtimeapi.StopContainerResponse{}, nil
}

// RemoveContainer removes a container.
func (r *Runtime) RemoveContainer(_ context.Context, q *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	if err := r.begin("RemoveContainer", r.named(q.ContainerId), q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[q.ContainerId]; c != nil {
		r.exit(c, 137)
		delete(r.containers, c.ID)
		r.send(c.ID, c.Sandbox, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	}
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// ListContainers lists containers by label.
func (r *Runtime) ListContainers(_ context.Context, q *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListContainersResponse{}
	for _, c := range r.containers {
		if selected(c.Config.Labels, q.GetFilter().GetLabelSelector()) {
			out.Containers = append(out.Containers, &runtimeapi.Container{
				Id: c.ID, PodSandboxId: c.Sandbox.ID, Metadata: c.Config.Metadata, State: c.State,
				Labels: c.Config.Labels, Annotations: c.Config.Annotations, CreatedAt: c.Created.UnixNano(),
			})
		}
	}
	return out, nil
}

// ContainerStatus describes a container.
func (r *Runtime) ContainerStatus(_ context.Context, q *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[q.ContainerId]
	if c == nil {
		return nil, missing("container", q.ContainerId)
	}
	return &runtimeapi.ContainerStatusResponse{Status: c.status()}, nil
}

// ExecSync answers with OnExec.
func (r *Runtime) ExecSync(_ context.Context, q *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[q.ContainerId]
	if c == nil {
		return nil, missing("container", q.ContainerId)
	}
	r.calls = append(r.calls, fmt.Sprintf("ExecSync %s %v", c.Config.Metadata.Name, q.Cmd))
	if r.OnExec == nil {
		return &runtimeapi.ExecSyncResponse{}, nil
	}
	output, code := r.OnExec(c, q.Cmd)
	return &runtimeapi.ExecSyncResponse{Stdout: []byte(output), ExitCode: code}, nil
}

// GetContainerEvents streams events until the caller leaves.
func (r *Runtime) GetContainerEvents(_ *runtimeapi.GetEventsRequest, s runtimeapi.RuntimeService_GetContainerEventsServer) error {
	events := make(chan *runtimeapi.ContainerEventResponse, 1000)
	r.mu.Lock()
	r.watchers[events] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.watchers, events)
		r.mu.Unlock()
	}()
	for {
		select {
		case <-s.Context().Done():
			return nil
		case ev := <-events:
			if err := s.Send(ev); err != nil {
				return err
			}
		}
	}
}

// ImageStatus says whether an image is present.
func (r *Runtime) ImageStatus(_ context.Context, q *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &runtimeapi.ImageStatusResponse{Image: r.images[q.Image.Image]}, nil
}

// PullImage makes an image present unless the test refuses it.
func (r *Runtime) PullImage(_ context.Context, q *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	if err := r.begin("PullImage", q.Image.Image, q); err != nil {
		return nil, err
	}
	r.AddImage(q.Image.Image)
	return &runtimeapi.PullImageResponse{ImageRef: "sha256:" + q.Image.Image}, nil
}
