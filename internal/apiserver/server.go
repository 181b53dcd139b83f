package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	extensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kube-openapi/pkg/common"

	"berth.dev/berth/internal/apiserver/aggregation"
	"berth.dev/berth/internal/apiserver/inprocess"
	"berth.dev/berth/internal/apiserver/presence"
	"berth.dev/berth/internal/apiserver/registry/service"
	"berth.dev/berth/internal/apiserver/storage"
)

// stopWithin bounds how long open watches and requests hold up a stop.
const stopWithin = 2 * time.Second

// Server is one API server.
type Server struct {
	config    Config
	parts     Parts
	backend   *storage.Backend
	listener  net.Listener
	handler   atomic.Pointer[http.Handler]
	main      *genericapiserver.GenericAPIServer
	crds      *extensionsapiserver.CustomResourceDefinitions
	others    *aggregation.Aggregator
	openapi   *openAPI
	schemas   *common.OpenAPIV3Config // while it is built
	v3Configs []*common.OpenAPIV3Config
	stopped   chan struct{}
	stop      func()
	ready     []func() error // storage that must be ready before hooks run
	repair    []func(context.Context) error
	problems  []service.Problem // of stored Services, found at start
	destroy   []func()
	counted   counted
	encrypted *encryption
	// attendable is closed when this server can be listed among those on its
	// datastore, attends when it is.
	attendable, attends chan struct{}
	mayAttend           func()
}

// New builds the server. It opens the listening socket, so that a taken port
// is known at once, and answers nothing until Run.
func New(c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Server{config: c, stopped: make(chan struct{}), attendable: make(chan struct{}), attends: make(chan struct{})}
	s.mayAttend = onceClose(s.attendable)
	s.stop = onceClose(s.stopped)
	s.backend = storage.New(c.Datastore.Client, c.Datastore.Prefix)
	var err error
	if s.encrypted, err = s.encryption(); err != nil {
		s.release()
		return nil, err
	}
	s.backend.Encrypt(s.encrypted.transformers)
	if err := s.build(); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) build() error {
	c := s.config
	address := net.JoinHostPort(c.BindAddress, strconv.Itoa(c.Port))
	var err error
	if s.listener, err = net.Listen("tcp", address); err != nil {
		return fmt.Errorf("apiserver: cannot listen on %s: %w; is another server running, or is --https-port taken?", address, err)
	}
	loopback := s.ClientConfig(user.APIServerUser, user.SystemPrivilegedGroup)
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return err
	}
	s.parts = Parts{
		Config:    loopback,
		Client:    client,
		Informers: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(c.Transform)),
		Stopped:   s.stopped,
		Presence:  presence.NewBoard(),
	}
	s.parts.Services = clusterIPs{s.parts.Informers.Core().V1().Services().Lister()}
	security, err := s.secure()
	if err != nil {
		return err
	}
	if s.crds, err = s.newCRDs(security); err != nil {
		return err
	}
	if s.main, err = s.newMain(security); err != nil {
		return err
	}
	s.forgetDefinitions()
	var handler http.Handler = s.main.Handler
	s.handler.Store(&handler)
	return nil
}

// release gives back what New has taken; the library's own clean-up covers
// only a server that has run.
func (s *Server) release() {
	s.stop()
	for _, destroy := range s.destroy {
		destroy()
	}
	if s.crds != nil {
		s.crds.GenericAPIServer.Destroy()
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.backend.Close()
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// ClientConfig returns a client configuration that reaches this server without
// leaving the process, as the given user. Requests fail before New returns and
// wait for the datastore before Run.
func (s *Server) ClientConfig(name string, groups ...string) *rest.Config {
	return inprocess.ClientConfig(http.HandlerFunc(s.serveInProcess), name, groups...)
}

// GuardedClientConfig is a ClientConfig whose requests pass enter first: it may
// add to a request's context, or refuse it.
func (s *Server) GuardedClientConfig(enter func(context.Context) (context.Context, error), name string, groups ...string) *rest.Config {
	return inprocess.ClientConfig(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, err := enter(req.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		s.serveInProcess(w, req.WithContext(ctx))
	}), name, groups...)
}

func (s *Server) serveInProcess(w http.ResponseWriter, req *http.Request) {
	h := s.handler.Load()
	if h == nil {
		http.Error(w, "the API server is starting", http.StatusServiceUnavailable)
		return
	}
	(*h).ServeHTTP(w, req)
}
