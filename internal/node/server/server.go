// Package server is the node agent's HTTPS server, the kubelet API on port
// 10250: container logs, exec, attach, port-forward, health, pods, metrics and
// what containers use.
// The API server and administrators may use it, and whom the API server allows to.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/plan/usage"
)

// Pods is what the server asks the node agent.
type Pods interface {
	// FindContainer returns the id and the log file of a pod's container, or of
	// the one that ran before it. The path may be empty, then the runtime is
	// asked. The error says why there is none, in the words of upstream's
	// kubelet (see ContainerID).
	FindContainer(podNamespace, podName, containerName string, previous bool) (containerID, logPath string, err error)
	// Pods returns the pods of this node with their latest status.
	Pods() []*corev1.Pod
}

// Config is what the server needs.
type Config struct {
	NodeName string
	Pods     Pods
	Runtime  runtimeapi.RuntimeServiceClient
	// Certificate returns the serving certificate; it is asked for each
	// connection, so it may be renewed.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAs signs those who may connect.
	ClientCAs *x509.CertPool
	// Users may use the server, besides group system:masters. It is the API
	// server's client identity, "kube-apiserver-kubelet-client", unless set.
	Users []string
	// Access asks about everybody else; nil lets nobody else in.
	Access *Access
	// Disks tells what lies on the node's disks; nil tells nothing.
	Disks *Disks
	// Inside tells what is to be known of a pod that runs; nil tells nothing.
	Inside func(*corev1.Pod) usage.Inside
	// Health answers /healthz; nil is healthy.
	Health func() error
	// Metrics adds to /metrics, in the Prometheus text format.
	Metrics http.Handler
	Clock   clock.WithTicker
	Log     *slog.Logger
}

// Server serves the kubelet API.
type Server struct {
	cfg Config
}

// New makes a server; Serve runs it.
func New(cfg Config) *Server {
	if cfg.Users == nil {
		cfg.Users = []string{"kube-apiserver-kubelet-client"}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg}
}

// Serve answers on ln until ctx ends, which also ends streams under way.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler: s.Handler(),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: s.cfg.Certificate,
			// Without a certificate a client is told 401, not a broken handshake.
			ClientAuth: tls.VerifyClientCertIfGiven,
			ClientCAs:  s.cfg.ClientCAs,
		},
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       90 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.ServeTLS(ln, "", "")
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve the kubelet API on %s: %w", ln.Addr(), err)
}

// Handler is the kubelet API behind its access check.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /healthz/{check}", s.healthz)
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /pods/{$}", s.pods)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /metrics/resource", s.resourceMetrics)
	mux.HandleFunc("GET /metrics/cadvisor", s.advisor)
	mux.HandleFunc("GET /stats/summary", s.summary)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.logs)
	for _, method := range []string{"GET ", "POST "} {
		mux.HandleFunc(method+"/exec/{namespace}/{pod}/{container}", s.exec)
		mux.HandleFunc(method+"/exec/{namespace}/{pod}/{uid}/{container}", s.exec)
		mux.HandleFunc(method+"/attach/{namespace}/{pod}/{container}", s.attach)
		mux.HandleFunc(method+"/attach/{namespace}/{pod}/{uid}/{container}", s.attach)
		mux.HandleFunc(method+"/portForward/{namespace}/{pod}", s.portForward)
		mux.HandleFunc(method+"/portForward/{namespace}/{pod}/{uid}", s.portForward)
	}
	return s.allowed(mux)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Health != nil {
		if err := s.cfg.Health(); err != nil {
			http.Error(w, "[-]syncloop failed: "+err.Error()+"\nhealthz check failed", http.StatusInternalServerError)
			return
		}
	}
	fmt.Fprint(w, "ok")
}

// pods lists the node's pods as JSON.
func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, pod := range s.cfg.Pods.Pods() {
		list.Items = append(list.Items, *pod)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(&list); err != nil {
		s.cfg.Log.Debug("pods: the client went away", "error", err)
	}
}

// metrics has the few figures that the agent keeps anyway.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	running, containers := 0, 0
	for _, pod := range s.cfg.Pods.Pods() {
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Running != nil {
				containers++
			}
		}
	}
	fmt.Fprintf(w, "# HELP kubelet_node_name The node's name. The count is always 1.\n# TYPE kubelet_node_name gauge\nkubelet_node_name{node=%q} 1\n", s.cfg.NodeName)
	fmt.Fprintf(w, "# HELP kubelet_running_pods Number of pods that have a running pod sandbox\n# TYPE kubelet_running_pods gauge\nkubelet_running_pods %d\n", running)
	fmt.Fprintf(w, "# HELP kubelet_running_containers Number of containers currently running\n# TYPE kubelet_running_containers gauge\nkubelet_running_containers{container_state=\"running\"} %d\n", containers)
	s.volumeMetrics(w, r)
	if s.cfg.Metrics != nil {
		s.cfg.Metrics.ServeHTTP(w, r)
	}
}

// find returns the pod that a request names, nil when it is not here.
func (s *Server) find(r *http.Request) *corev1.Pod {
	uid := types.UID(r.PathValue("uid"))
	for _, pod := range s.cfg.Pods.Pods() {
		if pod.Namespace == r.PathValue("namespace") && pod.Name == r.PathValue("pod") && (uid == "" || uid == pod.UID) {
			return pod
		}
	}
	return nil
}
