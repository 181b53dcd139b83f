package apiserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	clientexec "k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	streamforward "k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

// agent plays a node's agent.
type agent struct{ seen chan string }

func (a agent) ExecInContainer(_ context.Context, _, _, container string, cmd []string, in io.Reader, out, errs io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if cmd[0] == "fail" {
		fmt.Fprint(errs, "oh no")
		return utilexec.CodeExitError{Err: fmt.Errorf("exit 7"), Code: 7}
	}
	text, _ := io.ReadAll(in)
	fmt.Fprintf(out, "%s in %s: %s", strings.Join(cmd, " "), container, text)
	return nil
}

func (agent) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	b := make([]byte, 4)
	if _, err := io.ReadFull(stream, b); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stream, "%s from %d", b, port)
	_ = stream.Close()
	return err
}

func (a agent) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	parts := strings.Split(req.URL.Path, "/")
	q := req.URL.Query()
	switch parts[1] {
	case "containerLogs":
		a.seen <- req.URL.String()
		if parts[4] == "missing" {
			http.Error(w, "no such container", http.StatusBadRequest)
			return
		}
		for i := range 3 {
			fmt.Fprintln(w, "line", i)
			w.(http.Flusher).Flush()
		}
	case "exec":
		remotecommand.ServeExec(w, req, a, parts[3], "", parts[4], q["command"], &remotecommand.Options{
			Stdin: q.Get("input") == "1", Stdout: q.Get("output") == "1", Stderr: q.Get("error") == "1", TTY: q.Get("tty") == "1",
		}, time.Minute, time.Minute, remotecommand.SupportedStreamingProtocols)
	case "portForward":
		streamforward.ServePortForward(w, req, a, parts[3], "", nil, time.Minute, time.Minute, streamforward.SupportedProtocols)
	default:
		http.NotFound(w, req)
	}
}

// withAgent starts a server, a node with an agent and a pod on it.
func withAgent(t *testing.T) (*apitest.Env, agent) {
	a := agent{seen: make(chan string, 10)}
	server := httptest.NewTLSServer(a)
	t.Cleanup(server.Close)
	where := netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "https://"))
	e := apitest.Start(t)
	node := must[*corev1.Node](t)(e.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}))
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: where.Addr().String()}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(where.Port())
	must[*corev1.Node](t)(e.Client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}))
	pod := newPod("p")
	pod.Spec.NodeName = "n1"
	must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}))
	return e, a
}

func TestLogs(t *testing.T) {
	e, a := withAgent(t)
	pods := e.Client.CoreV1().Pods(namespace)
	raw := must[[]byte](t)(pods.GetLogs("p", &corev1.PodLogOptions{Follow: true, TailLines: ptr.To(int64(5))}).DoRaw(t.Context()))
	if string(raw) != "line 0\nline 1\nline 2\n" {
		t.Errorf("got %q", raw)
	}
	if asked := <-a.seen; asked != "/containerLogs/default/p/c?follow=true&tailLines=5" {
		t.Errorf("the agent was asked for %s", asked)
	}
	_, err := pods.GetLogs("p", &corev1.PodLogOptions{Container: "other"}).Stream(t.Context())
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "container other is not valid for pod p") {
		t.Errorf("got %v", err)
	}
	_, err = pods.GetLogs("p", &corev1.PodLogOptions{TailLines: ptr.To(int64(-1))}).Stream(t.Context())
	if !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	must[*corev1.Pod](t)(pods.Create(t.Context(), newPod("waiting"), metav1.CreateOptions{}))
	if raw, err := pods.GetLogs("waiting", &corev1.PodLogOptions{}).DoRaw(t.Context()); err != nil || len(raw) != 0 {
		t.Errorf("logs of a pod without node: %q, %v", raw, err)
	}
}

func TestExec(t *testing.T) {
	e, _ := withAgent(t)
	executors := map[string]func(string, *url.URL) (clientexec.Executor, error){
		"spdy": func(method string, u *url.URL) (clientexec.Executor, error) {
			return clientexec.NewSPDYExecutor(e.TLS, method, u)
		},
		"websocket": func(_ string, u *url.URL) (clientexec.Executor, error) {
			return clientexec.NewWebSocketExecutor(e.TLS, http.MethodGet, u.String())
		},
	}
	client := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(e.TLS))
	for name, connect := range executors {
		t.Run(name, func(t *testing.T) {
			run := func(command ...string) (string, string, error) {
				req := client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("p").SubResource("exec").
					VersionedParams(&corev1.PodExecOptions{Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec)
				executor, err := connect(http.MethodPost, req.URL())
				if err != nil {
					t.Fatal(err)
				}
				var out, errs bytes.Buffer
				err = executor.StreamWithContext(t.Context(), clientexec.StreamOptions{Stdin: strings.NewReader("input"), Stdout: &out, Stderr: &errs})
				return out.String(), errs.String(), err
			}
			if out, _, err := run("say", "hello"); err != nil || out != "say hello in c: input" {
				t.Errorf("got %q, %v", out, err)
			}
			_, errs, err := run("fail")
			if code := utilexec.ExitError(nil); !errors.As(err, &code) || code.ExitStatus() != 7 || errs != "oh no" {
				t.Errorf("got %q, %v", errs, err)
			}
		})
	}
	must[*corev1.Pod](t)(e.Client.CoreV1().Pods(namespace).Create(t.Context(), newPod("waiting"), metav1.CreateOptions{}))
	err := client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("waiting").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"x"}, Stdout: true}, scheme.ParameterCodec).Do(t.Context()).Error()
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "pod waiting does not have a host assigned") {
		t.Errorf("got %v", err)
	}
}

func TestPortForward(t *testing.T) {
	e, _ := withAgent(t)
	client := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(e.TLS))
	req := client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("p").SubResource("portforward")
	transport, upgrader, err := spdy.RoundTripperFor(e.TLS)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(req.URL(), e.TLS)
	if err != nil {
		t.Fatal(err)
	}
	for name, dialer := range map[string]httpstream.Dialer{
		"spdy":      spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, req.URL()),
		"websocket": tunnel,
	} {
		t.Run(name, func(t *testing.T) {
			ready, done := make(chan struct{}), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			f, err := portforward.NewOnAddressesWithContext(ctx, dialer, []string{"127.0.0.1"}, []string{"0:8080"}, ready, io.Discard, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			go func() { done <- f.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-done:
				t.Fatal(err)
			}
			ports := must[[]portforward.ForwardedPort](t)(f.GetPorts())
			conn := must[net.Conn](t)(net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local)))
			fmt.Fprint(conn, "ping")
			if got, err := io.ReadAll(conn); err != nil || string(got) != "ping from 8080" {
				t.Errorf("got %q, %v", got, err)
			}
			_ = conn.Close()
			cancel()
			<-done
		})
	}
}
