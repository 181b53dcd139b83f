package node

import (
	"context"

	"berth.dev/berth/internal/node/logrotate"
	"berth.dev/berth/internal/plan/podsync"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// rotateLogs keeps the logs of running containers short.
func (a *Agent) rotateLogs(ctx context.Context) {
	if a.cfg.LogSize <= 0 {
		return
	}
	logrotate.New(logrotate.Config{
		MaxSize: a.cfg.LogSize, MaxFiles: a.cfg.LogFiles, Clock: a.cfg.Clock, Log: a.cfg.Log,
		Logs: a.runningLogs,
		Reopen: func(ctx context.Context, id string) error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			_, err := a.cri.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
			return err
		},
	}).Run(ctx)
}

func (a *Agent) runningLogs() []logrotate.Log {
	var out []logrotate.Log
	for _, w := range a.all() {
		w.mu.Lock()
		for id, r := range w.containers {
			if r.Phase == podsync.Running && r.LogPath != "" {
				out = append(out, logrotate.Log{ID: id, Path: r.LogPath})
			}
		}
		w.mu.Unlock()
	}
	return out
}

// MountedImages are the images that pods have as volumes.
func (a *Agent) MountedImages() []string {
	var out []string
	for _, pod := range a.Pods() {
		for i := range pod.Spec.Volumes {
			if v := pod.Spec.Volumes[i].Image; v != nil {
				out = append(out, v.Reference)
			}
		}
	}
	return out
}
