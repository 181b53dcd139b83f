package server

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// logOptions says which lines of a log are wanted, and how.
type logOptions struct {
	follow, previous, timestamps bool
	since                        time.Time
	tail, limit                  int64 // -1: all
	stdout, stderr               bool
}

// logs writes a container's log.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	opts, err := parseLogOptions(r.URL.Query(), s.cfg.Clock.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	pod, container := s.find(r), r.PathValue("container")
	if pod == nil {
		http.Error(w, fmt.Sprintf("pod %q does not exist", r.PathValue("pod")), http.StatusNotFound)
		return
	}
	if !hasContainer(pod, container) {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", container, pod.Name), http.StatusNotFound)
		return
	}
	id, path, err := s.cfg.Pods.FindContainer(pod.Namespace, pod.Name, container, opts.previous)
	if err != nil {
		badRequest(w, err)
		return
	}
	if path == "" {
		status, err := s.cfg.Runtime.ContainerStatus(r.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			badRequest(w, fmt.Errorf("failed to get container status %q: %w", id, err))
			return
		}
		path = status.GetStatus().GetLogPath()
	}
	log, err := openLog(path)
	if err != nil {
		badRequest(w, err)
		return
	}
	defer log.close()
	w.Header().Set("Content-Type", "text/plain")
	control := http.NewResponseController(w)
	buffered := bufio.NewWriterSize(w, 32<<10)
	out := &lineWriter{opts: opts, w: buffered, left: opts.limit, flush: func() error {
		if err := buffered.Flush(); err != nil {
			return err
		}
		return control.Flush()
	}}
	running := func(ctx context.Context) bool { return s.isRunning(ctx, id) }
	err = log.copy(r.Context(), s.cfg.Clock, opts, out, running)
	if flushErr := out.flush(); err == nil {
		err = flushErr
	}
	if err != nil && r.Context().Err() == nil {
		s.cfg.Log.Debug("a log ended early", "path", path, "error", err)
	}
}

// badRequest answers as the kubelet does; the API server turns it into a
// BadRequest status with this message.
func badRequest(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprint(w, err.Error())
}

// isRunning asks the runtime; a container that it does not know has ended.
func (s *Server) isRunning(ctx context.Context, id string) bool {
	status, err := s.cfg.Runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return false
	}
	return status.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_RUNNING
}

// parseLogOptions reads the query as the API server sends it.
func parseLogOptions(q url.Values, now time.Time) (logOptions, error) {
	o := logOptions{tail: -1, limit: -1, stdout: true, stderr: true}
	var err error
	flag := func(name string) bool {
		text := q.Get(name)
		if text == "" || err != nil {
			// A parameter without a value is set, as in "?follow".
			return err == nil && q.Has(name)
		}
		var yes bool
		if yes, err = strconv.ParseBool(text); err != nil {
			err = fmt.Errorf("%s must be true or false, it is %q", name, text)
		}
		return yes
	}
	number := func(name string, least int64) (int64, bool) {
		text := q.Get(name)
		if text == "" || err != nil {
			return -1, false
		}
		n, parseErr := strconv.ParseInt(text, 10, 64)
		if parseErr != nil || n < least {
			err = fmt.Errorf("%s must be a number of at least %d, it is %q", name, least, text)
			return -1, false
		}
		return n, true
	}
	o.follow, o.previous, o.timestamps = flag("follow"), flag("previous"), flag("timestamps")
	o.tail, _ = number("tailLines", 0)
	o.limit, _ = number("limitBytes", 1)
	if seconds, ok := number("sinceSeconds", 1); ok {
		o.since = now.Add(-time.Duration(min(seconds, 1<<31)) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" && err == nil {
		if !o.since.IsZero() {
			return o, fmt.Errorf("at most one of sinceTime or sinceSeconds may be specified")
		}
		if o.since, err = time.Parse(time.RFC3339, text); err != nil {
			err = fmt.Errorf("sinceTime must be in RFC 3339, it is %q", text)
		}
	}
	switch stream := q.Get("stream"); stream {
	case "", "All":
	case "Stdout":
		o.stderr = false
	case "Stderr":
		o.stdout = false
	default:
		return o, fmt.Errorf("stream must be All, Stdout or Stderr, it is %q", stream)
	}
	return o, err
}
