// Package inprocess lets components in the server's process call its handler
// without a socket, TLS or rate limit, but with an identity of their own: every
// request passes the whole chain of authentication, authorization and admission.
package inprocess

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/base/stack"
)

// Host is what requests name as their server.
const Host = "http://in-process"

type identityKey struct{}

// ClientConfig returns a client configuration that sends requests to handler
// as the given user. It asks for protobuf where a type has it.
func ClientConfig(handler http.Handler, name string, groups ...string) *rest.Config {
	identity := &user.DefaultInfo{Name: name, Groups: append([]string{user.AllAuthenticated}, groups...)}
	return &rest.Config{
		Host:      Host,
		Transport: &transport{handler: handler, identity: identity},
		QPS:       -1,
		UserAgent: userAgent(name),
		// What is deprecated is served on purpose; nobody reads warnings about it here.
		WarningHandler: rest.NoWarnings{},
		ContentConfig: rest.ContentConfig{
			AcceptContentTypes: "application/vnd.kubernetes.protobuf,application/json",
			ContentType:        "application/vnd.kubernetes.protobuf",
		},
	}
}

// Authenticator knows the requests that came through a transport of this
// package. No request from outside can carry such an identity, because it
// travels in the request's context.
func Authenticator() authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		identity, ok := req.Context().Value(identityKey{}).(user.Info)
		if !ok {
			return nil, false, nil
		}
		return &authenticator.Response{User: identity}, true, nil
	})
}

type transport struct {
	handler  http.Handler
	identity user.Info
}

// RoundTrip serves req in a goroutine of its own and returns as soon as the
// handler has written the header.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(context.WithValue(bare{req.Context()}, identityKey{}, t.identity))
	in := req.Clone(ctx)
	in.RequestURI = in.URL.RequestURI()
	in.Host = in.URL.Host
	in.RemoteAddr = "127.0.0.1:0"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/2.0", 2, 0
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := newWriter(ctx, req, cancel)
	go t.serve(w, in, cancel)
	select {
	case response, ok := <-w.started:
		if !ok {
			return nil, fmt.Errorf("in-process %s %s: %w", req.Method, req.URL.Path, w.err)
		}
		return response, nil
	case <-req.Context().Done():
		cancel()
		w.body.closeRead()
		return nil, context.Cause(req.Context())
	}
}

// bare is when a context ends, without what it knows. A request that is made
// while another is served is a request of its own: with the audit record of
// the other in its context it would be refused.
type bare struct{ context.Context } //nolint:containedctx // it is that context

// Value implements context.Context.
func (bare) Value(any) any { return nil }

// AfterFunc spares a goroutine that waits for the end.
func (b bare) AfterFunc(f func()) func() bool { return context.AfterFunc(b.Context, f) }

func (t *transport) serve(w *writer, in *http.Request, cancel context.CancelFunc) {
	stack.Reserve()
	defer cancel()
	defer func() {
		_ = in.Body.Close()
		if p := recover(); p != nil {
			err := errors.New("request aborted by the server")
			if failure, ok := p.(error); ok && !errors.Is(failure, http.ErrAbortHandler) {
				err = failure
			}
			w.abort(err)
			return
		}
		w.finish()
	}()
	t.handler.ServeHTTP(w, in)
}
