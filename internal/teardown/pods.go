package teardown

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"berth.dev/berth/internal/node/cri"
)

const (
	// graceAnnotation carries a pod's terminationGracePeriodSeconds on its
	// containers (the kubelet's name for it).
	graceAnnotation = "io.kubernetes.pod.terminationGracePeriod"
	// defaultGrace is upstream's terminationGracePeriodSeconds, in seconds.
	defaultGrace = 30
	// atOnce bounds how many pods are stopped side by side.
	atOnce = 16
	// beginsWithin is how long containerd may take until it knows its pods.
	beginsWithin = 30 * time.Second
)

// stopSandboxes stops each pod's containers with their grace period, then
// removes the pods.
func stopSandboxes(ctx context.Context, socket string, log func(string, ...any)) error {
	rt, err := cri.Dial(socket)
	if err != nil {
		return err
	}
	defer rt.Close()
	begins, cancel := context.WithTimeout(ctx, beginsWithin)
	defer cancel()
	if _, err := rt.AwaitVersion(begins); err != nil {
		return fmt.Errorf("container runtime at %s: %w", socket, err)
	}
	pods, err := rt.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	containers, err := rt.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if len(pods.Items) > 0 {
		log("stopping %d pods", len(pods.Items))
	}
	var (
		mu       sync.Mutex
		problems []error
		all      sync.WaitGroup
		slots    = make(chan struct{}, atOnce)
	)
	for _, pod := range pods.Items {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := stopPod(ctx, rt, pod, containers.Containers); err != nil {
				mu.Lock()
				problems = append(problems, fmt.Errorf("pod %s/%s: %w", pod.Metadata.GetNamespace(), pod.Metadata.GetName(), err))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return errors.Join(problems...)
}

func stopPod(ctx context.Context, rt runtimeapi.RuntimeServiceClient, pod *runtimeapi.PodSandbox, containers []*runtimeapi.Container) error {
	var all sync.WaitGroup
	for _, c := range containers {
		if c.PodSandboxId != pod.Id || c.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
			continue
		}
		all.Go(func() {
			// Stopping the sandbox below kills what does not stop here.
			_, _ = rt.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: c.Id, Timeout: grace(c)})
		})
	}
	all.Wait()
	if _, err := rt.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
		return err
	}
	_, err := rt.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.Id})
	return err
}

func grace(c *runtimeapi.Container) int64 {
	if n, err := strconv.ParseInt(c.Annotations[graceAnnotation], 10, 64); err == nil && n >= 0 {
		return n
	}
	return defaultGrace
}
