package fakecri

import (
	"context"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// UpdateContainerResources implements the runtime service.
func (r *Runtime) UpdateContainerResources(_ context.Context, q *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	r.mu.Lock()
	c := r.containers[q.ContainerId]
	r.mu.Unlock()
	if c == nil {
		return nil, missing("container", q.ContainerId)
	}
	if err := r.begin("UpdateContainerResources", c.Config.Metadata.Name, q); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Config.Linux.Resources = q.Linux
	return &runtimeapi.UpdateContainerResourcesResponse{}, nil
}

// ContainerStats implements the runtime service: every container uses 1 MiB.
func (r *Runtime) ContainerStats(_ context.Context, q *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[q.ContainerId] == nil {
		return nil, missing("container", q.ContainerId)
	}
	return &runtimeapi.ContainerStatsResponse{Stats: &runtimeapi.ContainerStats{
		Memory: &runtimeapi.MemoryUsage{WorkingSetBytes: &runtimeapi.UInt64Value{Value: 1 << 20}},
	}}, nil
}
