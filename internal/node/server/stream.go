package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"
	streamproxy "k8s.io/apiserver/pkg/util/proxy"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// podUIDLabel is how the kubelet and every CRI client mark a sandbox.
const podUIDLabel = "io.kubernetes.pod.uid"

// exec runs a command in a container, with streams.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	id, opts, ok := s.streamTarget(w, r)
	if !ok {
		return
	}
	answer, err := s.cfg.Runtime.Exec(r.Context(), &runtimeapi.ExecRequest{
		ContainerId: id,
		Cmd:         r.Form["command"],
		Tty:         opts.TTY,
		Stdin:       opts.Stdin,
		Stdout:      opts.Stdout,
		Stderr:      opts.Stderr,
	})
	if err != nil {
		_ = streaming.WriteError(err, w)
		return
	}
	s.relay(w, r, answer.Url, opts)
}

// attach connects to a container's main process.
func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	id, opts, ok := s.streamTarget(w, r)
	if !ok {
		return
	}
	answer, err := s.cfg.Runtime.Attach(r.Context(), &runtimeapi.AttachRequest{
		ContainerId: id,
		Tty:         opts.TTY,
		Stdin:       opts.Stdin,
		Stdout:      opts.Stdout,
		Stderr:      opts.Stderr,
	})
	if err != nil {
		_ = streaming.WriteError(err, w)
		return
	}
	s.relay(w, r, answer.Url, opts)
}

// portForward connects to ports in a pod's network.
func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	// A plain WebSocket names its ports; SPDY, also within a WebSocket, names
	// them stream by stream.
	opts := &portforward.V4Options{}
	if !wsstream.IsWebSocketRequestWithTunnelingProtocol(r) {
		var err error
		if opts, err = portforward.NewV4Options(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	pod := s.find(r)
	if pod == nil {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return
	}
	list, err := s.cfg.Runtime.ListPodSandbox(r.Context(), &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{
		LabelSelector: map[string]string{podUIDLabel: string(pod.UID)},
	}})
	if err != nil {
		_ = streaming.WriteError(err, w)
		return
	}
	sandbox := newest(list.Items)
	if sandbox == "" {
		http.Error(w, fmt.Sprintf("failed to find sandboxID for pod %s", pod.Name+"_"+pod.Namespace), http.StatusInternalServerError)
		return
	}
	answer, err := s.cfg.Runtime.PortForward(r.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: sandbox, Port: opts.Ports})
	if err != nil {
		_ = streaming.WriteError(err, w)
		return
	}
	location, err := url.Parse(answer.Url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var handler http.Handler = s.upgrade(location)
	handler = streamproxy.NewTranslatingHandler(handler, streamproxy.NewTunnelingHandler(handler), wsstream.IsWebSocketRequestWithTunnelingProtocol)
	handler.ServeHTTP(w, r)
}

// newest is the id of the latest sandbox that is ready, or else of the latest.
func newest(sandboxes []*runtimeapi.PodSandbox) string {
	var best *runtimeapi.PodSandbox
	for _, s := range sandboxes {
		ready := s.State == runtimeapi.PodSandboxState_SANDBOX_READY
		if best == nil {
			best = s
			continue
		}
		bestReady := best.State == runtimeapi.PodSandboxState_SANDBOX_READY
		if (ready && !bestReady) || (ready == bestReady && s.CreatedAt > best.CreatedAt) {
			best = s
		}
	}
	if best == nil {
		return ""
	}
	return best.Id
}

// streamTarget reads what exec and attach have in common, or answers itself.
func (s *Server) streamTarget(w http.ResponseWriter, r *http.Request) (id string, opts *remotecommand.Options, ok bool) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil, false
	}
	opts, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil, false
	}
	pod := s.find(r)
	if pod == nil {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return "", nil, false
	}
	container := r.PathValue("container")
	id, _, err = s.cfg.Pods.FindContainer(pod.Namespace, pod.Name, container, false)
	if err != nil {
		s.cfg.Log.Debug("no container to run a command in", "namespace", pod.Namespace, "pod", pod.Name, "container", container, "error", err)
		http.Error(w, fmt.Sprintf("container not found (%q)", container), http.StatusInternalServerError)
		return "", nil, false
	}
	return id, opts, true
}

// relay connects the client with the runtime's streaming server. That speaks
// SPDY and the older WebSocket protocols; the newest one, which can close a
// stream half way, is translated here.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, to string, opts *remotecommand.Options) {
	location, err := url.Parse(to)
	if err != nil {
		http.Error(w, fmt.Sprintf("the runtime's streaming address %q: %v", to, err), http.StatusInternalServerError)
		return
	}
	translator := streamproxy.NewStreamTranslatorHandler(location, nil, 0, streamproxy.Options{
		Stdin: opts.Stdin, Stdout: opts.Stdout, Stderr: opts.Stderr, Tty: opts.TTY,
	})
	streamproxy.NewTranslatingHandler(s.upgrade(location), translator, wsstream.IsWebSocketRequestWithStreamCloseProtocol).ServeHTTP(w, r)
}

func (s *Server) upgrade(location *url.URL) *proxy.UpgradeAwareHandler {
	return proxy.NewUpgradeAwareHandler(location, nil, false, true, proxyErrors{s})
}

// proxyErrors tells the client why its stream could not be connected.
type proxyErrors struct{ s *Server }

func (p proxyErrors) Error(w http.ResponseWriter, r *http.Request, err error) {
	p.s.cfg.Log.Warn("cannot connect a stream to the container runtime", "path", r.URL.Path, "error", err)
	code := http.StatusInternalServerError
	var known apierrors.APIStatus
	if errors.As(err, &known) && known.Status().Code != 0 {
		code = int(known.Status().Code)
	}
	http.Error(w, err.Error(), code)
}
