package node

import (
	"context"
	"fmt"
	"time"

	"berth.dev/berth/internal/node/cri"
	"berth.dev/berth/internal/plan/podsync"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// callTimeout is how long the runtime may take for one answer.
const callTimeout = 2 * time.Minute

// relist compares everything the runtime has with what the workers know.
func (a *Agent) relist(ctx context.Context) error {
	known := map[*worker][]string{}
	for _, w := range a.all() {
		known[w] = w.ids()
	}
	present, err := a.list(ctx, nil)
	if err != nil {
		return err
	}
	for w, ids := range known {
		for _, id := range ids {
			if !present[id] {
				w.forget(id)
			}
		}
		w.prune(present)
	}
	return nil
}

// relistPod does the same for one pod, after a request whose outcome is unknown.
func (a *Agent) relistPod(ctx context.Context, w *worker) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if _, err := a.list(ctx, map[string]string{cri.LabelPodUID: string(w.uid)}); err != nil {
		a.cfg.Log.Warn("listing a pod's containers failed", "uid", w.uid, "error", err)
	}
}

// list merges the runtime's records of the selected pods into their workers
// and returns the IDs it saw.
func (a *Agent) list(ctx context.Context, labels map[string]string) (map[string]bool, error) {
	present := map[string]bool{}
	sandboxes, err := a.cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: labels}})
	if err != nil {
		return nil, fmt.Errorf("listing pod sandboxes: %w", err)
	}
	containers, err := a.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: labels}})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	for _, item := range sandboxes.Items {
		present[item.Id] = true
		w := a.recorded(item.Labels)
		if w == nil || w.knowsSandbox(item.Id, item.State == runtimeapi.PodSandboxState_SANDBOX_READY) {
			continue
		}
		st, err := a.cri.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: item.Id})
		if err != nil {
			a.cfg.Log.Debug("asking for a sandbox failed", "sandbox", item.Id, "error", err)
			continue
		}
		w.merge([]podsync.Sandbox{cri.DecodeSandbox(st.Status)}, nil)
	}
	for _, item := range containers.Containers {
		present[item.Id] = true
		w := a.recorded(item.Labels)
		if w == nil || w.knowsContainer(item.Id, item.State) {
			continue
		}
		a.refresh(ctx, w, item.PodSandboxId, item.Id)
	}
	return present, nil
}

// refresh merges the state of one container.
func (a *Agent) refresh(ctx context.Context, w *worker, sandboxID, id string) {
	st, err := a.cri.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		a.cfg.Log.Debug("asking for a container failed", "container", id, "error", err)
		return
	}
	w.merge(nil, []cri.Record{cri.DecodeContainer(sandboxID, st.Status)})
}

// stray is the worker for something of a pod that nobody knows, nil while the
// API's pods are not known.
func (a *Agent) stray(labels map[string]string) *worker {
	a.mu.Lock()
	synced := a.synced
	a.mu.Unlock()
	if !synced {
		return nil
	}
	return a.recorded(labels)
}

// recorded is the worker of the pod that a record's labels name.
func (a *Agent) recorded(labels map[string]string) *worker {
	uid := types.UID(labels[cri.LabelPodUID])
	if uid == "" {
		return nil // made by somebody else
	}
	if w := a.find(uid); w != nil {
		return w
	}
	w := a.worker(uid, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: labels[cri.LabelPodNamespace], Name: labels[cri.LabelPodName], UID: uid,
	}})
	a.mu.Lock()
	synced := a.synced
	a.mu.Unlock()
	if synced {
		w.orphaned()
	}
	return w
}
