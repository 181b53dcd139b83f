package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.key = mustKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func mustKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns certificate and key, in PEM.
func (a *authority) issue(t *testing.T, name pkix.Name) (cert, key []byte) {
	t.Helper()
	k := mustKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

// cri is a runtime with one container, "id-1", whose streams it serves as
// containerd does.
type cri struct {
	runtimeapi.RuntimeServiceClient
	streams streaming.Server

	mu      sync.Mutex
	state   runtimeapi.ContainerState
	logPath string
	asked   int // for the container's status
	sizes   []remotecommand.TerminalSize
	command []string
}

func (c *cri) Exec(_ context.Context, r *runtimeapi.ExecRequest, _ ...grpc.CallOption) (*runtimeapi.ExecResponse, error) {
	return c.streams.GetExec(r)
}

func (c *cri) Attach(_ context.Context, r *runtimeapi.AttachRequest, _ ...grpc.CallOption) (*runtimeapi.AttachResponse, error) {
	return c.streams.GetAttach(r)
}

func (c *cri) PortForward(_ context.Context, r *runtimeapi.PortForwardRequest, _ ...grpc.CallOption) (*runtimeapi.PortForwardResponse, error) {
	return c.streams.GetPortForward(r)
}

func (c *cri) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest, _ ...grpc.CallOption) (*runtimeapi.ListPodSandboxResponse, error) {
	if r.Filter.LabelSelector[podUIDLabel] != "uid-1" {
		return &runtimeapi.ListPodSandboxResponse{}, nil
	}
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{
		{Id: "old", CreatedAt: 9, State: runtimeapi.PodSandboxState_SANDBOX_NOTREADY},
		{Id: "sandbox-1", CreatedAt: 5, State: runtimeapi.PodSandboxState_SANDBOX_READY},
	}}, nil
}

func (c *cri) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest, _ ...grpc.CallOption) (*runtimeapi.ContainerStatusResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if r.ContainerId != "id-1" {
		return nil, fmt.Errorf("container %q: not found", r.ContainerId)
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: c.state, LogPath: c.logPath}}, nil
}

func (c *cri) set(state runtimeapi.ContainerState) {
	c.mu.Lock()
	c.state = state
	c.mu.Unlock()
}

// programs is what runs "in the container".
type programs struct{ *cri }

func (p programs) Exec(_ context.Context, id string, cmd []string, in io.Reader, out, err io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	p.mu.Lock()
	p.command = cmd
	p.mu.Unlock()
	switch cmd[0] {
	case "cat":
		if _, e := io.Copy(out, in); e != nil {
			return e
		}
		fmt.Fprint(out, "<end>")
	case "fail":
		fmt.Fprint(err, "to stderr")
		return utilexec.CodeExitError{Err: fmt.Errorf("exit"), Code: 42}
	case "size":
		size := <-resize
		p.mu.Lock()
		p.sizes = append(p.sizes, size)
		p.mu.Unlock()
		fmt.Fprintf(out, "%dx%d tty=%v", size.Width, size.Height, tty)
	default:
		return fmt.Errorf("no such program in %s", id)
	}
	return nil
}

func (p programs) Attach(_ context.Context, id string, _ io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	fmt.Fprint(out, "attached to "+id)
	return nil
}

func (p programs) PortForward(_ context.Context, sandbox string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(stream, buf); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stream, "%s:%d got %s", sandbox, port, buf)
	return err
}

// world is a node agent's server with one pod behind it.
type world struct {
	*cri
	ca     *authority
	pod    *corev1.Pod
	addr   string
	server *Server
	log    string // the container's log
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ca: newAuthority(t), cri: &cri{state: runtimeapi.ContainerState_CONTAINER_RUNNING}}
	w.log = filepath.Join(t.TempDir(), "ns_web-0_uid-1", "app", "0.log")
	if err := os.MkdirAll(filepath.Dir(w.log), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.logPath = w.log
	w.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-0", UID: "uid-1"}}
	w.pod.Spec.Containers = []corev1.Container{{Name: "app"}, {Name: "slow"}}
	w.pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "app", ContainerID: "containerd://id-1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		{Name: "slow", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}},
	}

	// The runtime's streaming server, on a port of its own.
	streamLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := streaming.DefaultConfig
	cfg.Addr = streamLn.Addr().String()
	if w.streams, err = streaming.NewServer(cfg, programs{w.cri}); err != nil {
		t.Fatal(err)
	}
	streamSrv := &http.Server{Handler: w.streams}
	go func() { _ = streamSrv.Serve(streamLn) }()
	t.Cleanup(func() { streamSrv.Close() })

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	cert, key := w.ca.issue(t, pkix.Name{CommonName: "system:node:n1"})
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(w.ca.cert)
	s := New(Config{
		NodeName: "n1", Runtime: w.cri, ClientCAs: pool,
		Pods:        StatusPods(func() []*corev1.Pod { return []*corev1.Pod{w.pod} }),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil },
	})
	w.server = s
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// config is how the API server connects.
func (w *world) config(t *testing.T, name pkix.Name) *rest.Config {
	t.Helper()
	cert, key := w.ca.issue(t, name)
	return &rest.Config{Host: "https://" + w.addr, TLSClientConfig: rest.TLSClientConfig{CAData: w.ca.pem, CertData: cert, KeyData: key}}
}

var apiServer = pkix.Name{CommonName: "kube-apiserver-kubelet-client"}

func (w *world) client(t *testing.T, name pkix.Name) *http.Client {
	t.Helper()
	c, err := rest.HTTPClientFor(w.config(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get returns status and body.
func (w *world) get(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := w.client(t, apiServer).Get("https://" + w.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// append adds records to the container's log.
func (w *world) append(t *testing.T, records string) {
	t.Helper()
	f, err := os.OpenFile(w.log, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(records); err != nil {
		t.Fatal(err)
	}
}
