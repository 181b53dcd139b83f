package server

import (
	"bytes"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	clientexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

func TestWhoMayUseIt(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name pkix.Name
		want int
	}{
		{apiServer, http.StatusOK},
		{pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, http.StatusOK},
		{pkix.Name{CommonName: "system:node:n2", Organization: []string{"system:nodes"}}, http.StatusForbidden},
	} {
		r, err := w.client(t, tc.name).Get("https://" + w.addr + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != tc.want {
			t.Errorf("%s: %d %s", tc.name.CommonName, r.StatusCode, body)
		}
	}
	config := w.config(t, apiServer)
	config.CertData, config.KeyData = nil, nil
	if c, err := rest.HTTPClientFor(config); err != nil {
		t.Error(err)
	} else if r, err := c.Get(config.Host + "/pods"); err != nil {
		t.Error(err)
	} else if r.Body.Close(); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a certificate: %d", r.StatusCode)
	}
	// Another cluster's API server has the right name and the wrong signature.
	other := newAuthority(t)
	config = w.config(t, apiServer)
	config.CertData, config.KeyData = other.issue(t, apiServer)
	if c, err := rest.HTTPClientFor(config); err != nil {
		t.Error(err)
	} else if r, err := c.Get(config.Host + "/healthz"); err == nil {
		r.Body.Close()
		t.Errorf("another authority's certificate was taken: %d", r.StatusCode)
	}
}

type streams struct {
	in       io.Reader
	out, err bytes.Buffer
}

// run executes a command through the server, over SPDY or WebSocket.
func run(t *testing.T, w *world, kind, query string, s *streams, tty bool, sizes remotecommand.TerminalSizeQueue) error {
	t.Helper()
	config := w.config(t, apiServer)
	query += "&output=1"
	if s.in != nil {
		query += "&input=1"
	}
	if tty {
		query += "&tty=1"
	} else {
		query += "&error=1"
	}
	target := "https://" + w.addr + query
	var executor remotecommand.Executor
	var err error
	if kind == "SPDY" {
		u, _ := url.Parse(target)
		executor, err = remotecommand.NewSPDYExecutor(config, http.MethodPost, u)
	} else {
		executor, err = remotecommand.NewWebSocketExecutor(config, http.MethodGet, target)
	}
	if err != nil {
		t.Fatal(err)
	}
	options := remotecommand.StreamOptions{Stdin: s.in, Stdout: &s.out, Tty: tty, TerminalSizeQueue: sizes}
	if !tty {
		options.Stderr = &s.err
	}
	return executor.StreamWithContext(t.Context(), options)
}

type oneSize struct{ sent bool }

func (o *oneSize) Next() *remotecommand.TerminalSize {
	if o.sent {
		return nil
	}
	o.sent = true
	return &remotecommand.TerminalSize{Width: 132, Height: 43}
}

func TestExec(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{"SPDY", "WebSocket"} {
		t.Run(kind, func(t *testing.T) {
			big := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
			s := &streams{in: strings.NewReader(big)}
			if err := run(t, w, kind, "/exec/ns/web-0/app?command=cat", s, false, nil); err != nil {
				t.Fatal(err)
			}
			if s.out.String() != big+"<end>" {
				t.Errorf("cat answered %d bytes", s.out.Len())
			}
			s = &streams{}
			err := run(t, w, kind, "/exec/ns/web-0/app?command=fail", s, false, nil)
			var exit clientexec.CodeExitError
			if !errors.As(err, &exit) || exit.Code != 42 || s.err.String() != "to stderr" {
				t.Errorf("got %v, %q", err, s.err.String())
			}
			s = &streams{}
			if err := run(t, w, kind, "/exec/ns/web-0/app?command=size", s, true, &oneSize{}); err != nil || s.out.String() != "132x43 tty=true" {
				t.Errorf("got %q, %v", s.out.String(), err)
			}
			s = &streams{}
			if err := run(t, w, kind, "/attach/ns/web-0/uid-1/app?x=", s, false, nil); err != nil || s.out.String() != "attached to id-1" {
				t.Errorf("got %q, %v", s.out.String(), err)
			}
			for path, want := range map[string]string{
				"/exec/ns/none/app?command=cat":          "pod does not exist",
				"/exec/ns/web-0/other-uid/app?command=x": "pod does not exist",
				"/exec/ns/web-0/slow?command=cat":        `container not found ("slow")`,
			} {
				if err := run(t, w, kind, path, &streams{}, false, nil); err == nil || (kind == "SPDY" && !strings.Contains(err.Error(), want)) {
					t.Errorf("%s: got %v, want %s", path, err, want)
				}
			}
		})
	}
	if code, body := w.get(t, "/exec/ns/web-0/app?command=cat&output=1"); code != http.StatusBadRequest {
		t.Errorf("without an upgrade: %d %s", code, body)
	}
	if code, body := w.get(t, "/exec/ns/web-0/app?command=cat"); code != http.StatusBadRequest {
		t.Errorf("without any stream: %d %s", code, body)
	}
}

func TestPortForward(t *testing.T) {
	w := newWorld(t)
	config := w.config(t, apiServer)
	target, _ := url.Parse("https://" + w.addr + "/portForward/ns/web-0")
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	if err != nil {
		t.Fatal(err)
	}
	dialers := map[string]httpstream.Dialer{
		"SPDY":      spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target),
		"WebSocket": tunnel,
	}
	for kind, d := range dialers {
		t.Run(kind, func(t *testing.T) {
			stop, ready := make(chan struct{}), make(chan struct{})
			var report bytes.Buffer
			f, err := portforward.NewForStreaming(d, []string{"0:8080"}, stop, ready, io.Discard, &report)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- f.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-ended:
				t.Fatal(err)
			}
			ports, _ := f.GetPorts()
			for range 3 {
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(conn, "ping")
				answer, err := io.ReadAll(conn)
				conn.Close()
				if err != nil || string(answer) != "sandbox-1:8080 got ping" {
					t.Errorf("got %q, %v", answer, err)
				}
			}
			close(stop)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	if code, body := w.get(t, "/portForward/ns/none"); code != http.StatusNotFound || body != "pod does not exist\n" {
		t.Errorf("%d %q", code, body)
	}
}
