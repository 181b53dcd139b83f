package fakecri

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"berth.dev/berth/internal/node/cri"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Runtime is the fake. Use Dial to talk to it.
type Runtime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	// StopTakes is how long a container needs to end after SIGTERM.
	StopTakes time.Duration
	// Fail, when set, may refuse a request by its method's name.
	Fail func(method string, request any) error
	// OnStart, when set, is called after a container has been started; true
	// lets it exit at once with that code.
	OnStart func(c *Container) (exit bool, code int32)
	// OnExec answers ExecSync.
	OnExec func(c *Container, command []string) (output string, code int32)

	listener *bufconn.Listener
	server   *grpc.Server

	mu         sync.Mutex
	next       int
	sandboxes  map[string]*Sandbox
	containers map[string]*Container
	images     map[string]*runtimeapi.Image
	watchers   map[chan *runtimeapi.ContainerEventResponse]bool
	calls      []string
	silent     bool
}

// Sandbox is one pod sandbox.
type Sandbox struct {
	ID      string
	Config  *runtimeapi.PodSandboxConfig
	State   runtimeapi.PodSandboxState
	Created time.Time
	IP      string
}

// Container is one container.
type Container struct {
	ID                         string
	Sandbox                    *Sandbox
	Config                     *runtimeapi.ContainerConfig
	State                      runtimeapi.ContainerState
	Created, Started, Finished time.Time
	Code                       int32
	Reason                     string
}

// New starts a runtime that has the given images.
func New(images ...string) *Runtime {
	r := &Runtime{
		listener:  bufconn.Listen(1 << 20),
		server:    grpc.NewServer(),
		sandboxes: map[string]*Sandbox{}, containers: map[string]*Container{},
		images: map[string]*runtimeapi.Image{}, watchers: map[chan *runtimeapi.ContainerEventResponse]bool{},
	}
	for _, name := range images {
		r.AddImage(name)
	}
	runtimeapi.RegisterRuntimeServiceServer(r.server, r)
	runtimeapi.RegisterImageServiceServer(r.server, r)
	go func() { _ = r.server.Serve(r.listener) }()
	return r
}

// Close stops the server.
func (r *Runtime) Close() { r.server.Stop() }

// Dial returns a new connection.
func (r *Runtime) Dial() *cri.Client {
	conn, err := grpc.NewClient("passthrough:///fake",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return r.listener.DialContext(ctx) }))
	if err != nil {
		panic(err) // the target is a constant
	}
	return cri.New(conn)
}

// AddImage makes an image present.
func (r *Runtime) AddImage(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[name] = &runtimeapi.Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: 1}
}

// Silence stops (or resumes) events, as if the stream lost them.
func (r *Runtime) Silence(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = on
}

// Calls are the requests that change something, in order: "method what".
func (r *Runtime) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.calls...)
}

// Containers are copies of all containers.
func (r *Runtime) Containers() []Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Container
	for _, c := range r.containers {
		out = append(out, *c)
	}
	return out
}

// Sandboxes are copies of all sandboxes.
func (r *Runtime) Sandboxes() []Sandbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Sandbox
	for _, s := range r.sandboxes {
		out = append(out, *s)
	}
	return out
}

// Running is the running container of that name, nil if there is none.
func (r *Runtime) Running(name string) *Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if c.Config.Metadata.Name == name && c.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			found := *c
			return &found
		}
	}
	return nil
}

// Crash ends a running container.
func (r *Runtime) Crash(id string, code int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		r.exit(c, code)
	}
}

// CrashSandbox ends a sandbox and what runs in it.
func (r *Runtime) CrashSandbox(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[id]
	for _, c := range r.containers {
		if c.Sandbox == s {
			r.exit(c, 137)
		}
	}
	s.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	r.send(s.ID, s, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

func (r *Runtime) exit(c *Container, code int32) {
	if c.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return
	}
	c.State, c.Finished, c.Code, c.Reason = runtimeapi.ContainerState_CONTAINER_EXITED, time.Now(), code, "Completed"
	if code != 0 {
		c.Reason = "Error"
	}
	r.send(c.ID, c.Sandbox, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

// begin notes a request and lets the test refuse it.
func (r *Runtime) begin(method, what string, request any) error {
	r.mu.Lock()
	fail := r.Fail
	r.calls = append(r.calls, method+" "+what)
	r.mu.Unlock()
	if fail != nil {
		return fail(method, request)
	}
	return nil
}

func (r *Runtime) id(kind string) string {
	r.next++
	return fmt.Sprintf("%s-%d", kind, r.next)
}

// send streams the state of a pod. The lock is held.
func (r *Runtime) send(id string, s *Sandbox, kind runtimeapi.ContainerEventType) {
	if r.silent {
		return
	}
	ev := &runtimeapi.ContainerEventResponse{
		ContainerId: id, ContainerEventType: kind, CreatedAt: time.Now().UnixNano(), PodSandboxStatus: s.status(),
	}
	if r.sandboxes[s.ID] == nil {
		ev.PodSandboxStatus = nil
	}
	for _, c := range r.containers {
		if c.Sandbox == s {
			ev.ContainersStatuses = append(ev.ContainersStatuses, c.status())
		}
	}
	for w := range r.watchers {
		select {
		case w <- ev:
		default:
		}
	}
}

func (s *Sandbox) status() *runtimeapi.PodSandboxStatus {
	return &runtimeapi.PodSandboxStatus{
		Id: s.ID, Metadata: s.Config.Metadata, State: s.State, CreatedAt: s.Created.UnixNano(),
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: s.IP}, Labels: s.Config.Labels, Annotations: s.Config.Annotations,
	}
}

func (c *Container) status() *runtimeapi.ContainerStatus {
	st := &runtimeapi.ContainerStatus{
		Id: c.ID, Metadata: c.Config.Metadata, State: c.State, CreatedAt: c.Created.UnixNano(),
		Image: c.Config.Image, ImageRef: c.Config.Image.Image, Labels: c.Config.Labels, Annotations: c.Config.Annotations,
		Mounts: c.Config.Mounts, ExitCode: c.Code, Reason: c.Reason,
		LogPath: filepath.Join(c.Sandbox.Config.LogDirectory, c.Config.LogPath),
	}
	if !c.Started.IsZero() {
		st.StartedAt = c.Started.UnixNano()
	}
	if !c.Finished.IsZero() {
		st.FinishedAt = c.Finished.UnixNano()
	}
	return st
}

func missing(what, id string) error {
	return status.Errorf(codes.NotFound, "%s %q not found", what, id)
}

// SetExec sets OnExec while the runtime is in use.
func (r *Runtime) SetExec(f func(c *Container, command []string) (string, int32)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.OnExec = f
}

// SetFail sets Fail while the runtime is in use.
func (r *Runtime) SetFail(f func(method string, request any) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Fail = f
}
