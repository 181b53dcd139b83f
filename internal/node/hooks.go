package node

import (
	"context"
	"fmt"
	"time"

	"berth.dev/berth/internal/node/probe"
	corev1 "k8s.io/api/core/v1"
)

// hookTimeout bounds a postStart hook, which upstream does not bound.
const hookTimeout = 24 * time.Hour

// hook runs a lifecycle hook.
func (w *worker) hook(ctx context.Context, pod *corev1.Pod, h *corev1.LifecycleHandler, c *corev1.Container, id string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case h.Exec != nil:
		output, code, err := w.agent.exec(ctx, id, h.Exec.Command, timeout)
		if err != nil {
			return fmt.Errorf("Exec lifecycle hook (%v) for Container %q failed - error: %w, message: %q", h.Exec.Command, c.Name, err, output) //nolint:staticcheck // upstream's words
		}
		if code != 0 {
			return fmt.Errorf("Exec lifecycle hook (%v) for Container %q failed - error: command '%v' exited with %d: %s, message: %q", h.Exec.Command, c.Name, h.Exec.Command, code, output, output) //nolint:staticcheck // upstream's words
		}
		return nil
	case h.HTTPGet != nil:
		w.mu.Lock()
		ips := w.podIPs()
		w.mu.Unlock()
		ip := ""
		if len(ips) > 0 {
			ip = ips[0]
		}
		plain, err := probe.Get(ctx, h.HTTPGet, c, ip)
		if plain != "" {
			w.agent.event(pod, "", corev1.EventTypeWarning, "LifecycleHTTPFallback",
				fmt.Sprintf("request to HTTPS lifecycle hook %s got HTTP response, retry with HTTP succeeded", plain))
		}
		if err != nil {
			return fmt.Errorf("HTTP lifecycle hook (%s) for Container %q failed - error: %w", h.HTTPGet.Path, c.Name, err)
		}
		return nil
	case h.Sleep != nil:
		select {
		case <-w.agent.cfg.Clock.After(time.Duration(h.Sleep.Seconds) * time.Second):
		case <-ctx.Done():
		}
		return nil
	default:
		return fmt.Errorf("invalid handler: %v", h)
	}
}
