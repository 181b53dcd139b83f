package node

import (
	"context"
	"time"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podsync"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// stream follows the runtime's events and subscribes again when it breaks.
func (a *Agent) stream(ctx context.Context, resubscribed chan<- struct{}) {
	retry := 50 * time.Millisecond
	for ctx.Err() == nil {
		events, err := a.cri.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{})
		if err == nil {
			select {
			case resubscribed <- struct{}{}:
			default:
			}
			for {
				var ev *runtimeapi.ContainerEventResponse
				if ev, err = events.Recv(); err != nil {
					break
				}
				retry = 50 * time.Millisecond
				a.observe(ev)
			}
		}
		if ctx.Err() != nil {
			return
		}
		a.cfg.Log.Warn("the container runtime's events stopped, subscribing again", "in", retry, "error", err)
		select {
		case <-ctx.Done():
		case <-a.cfg.Clock.After(retry):
		}
		retry = min(2*retry, 5*time.Second)
	}
}

// observe takes one event in. An event carries the state of the whole pod.
func (a *Agent) observe(ev *runtimeapi.ContainerEventResponse) {
	sb := ev.PodSandboxStatus
	if sb == nil {
		// The sandbox is gone; only a removal is left to be told.
		if ev.ContainerEventType == runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT {
			for _, w := range a.all() {
				w.forget(ev.ContainerId)
			}
		}
		return
	}
	w := a.find(types.UID(sb.GetMetadata().GetUid()))
	if w == nil {
		// Not ours, or over. What begins and belongs to nobody has to end.
		if ev.ContainerEventType != runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT || sb.State != runtimeapi.PodSandboxState_SANDBOX_READY {
			return
		}
		if w = a.stray(sb.Labels); w == nil {
			return
		}
	}
	var records []cri.Record
	for _, c := range ev.ContainersStatuses {
		records = append(records, cri.DecodeContainer(sb.Id, c))
	}
	w.merge([]podsync.Sandbox{cri.DecodeSandbox(sb)}, records)
	if ev.ContainerEventType == runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT {
		w.forget(ev.ContainerId)
	}
}
