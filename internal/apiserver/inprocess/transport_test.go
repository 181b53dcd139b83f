package inprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func client(h http.HandlerFunc, name string) *http.Client {
	return &http.Client{Transport: ClientConfig(h, name, "group").Transport}
}

func get(t *testing.T, ctx context.Context, c *http.Client) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, Host+"/path?q=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(req)
}

func TestIdentityTravelsOnlyInProcess(t *testing.T) {
	h := func(w http.ResponseWriter, req *http.Request) {
		r, ok, err := Authenticator().AuthenticateRequest(req)
		if err != nil || !ok {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "%s %v", r.User.GetName(), r.User.GetGroups())
	}
	resp, err := get(t, t.Context(), client(h, "me"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "me [system:authenticated group]" {
		t.Errorf("got %q", body)
	}
	if _, ok, _ := Authenticator().AuthenticateRequest(&http.Request{Header: http.Header{"Authorization": {"Bearer me"}}}); ok {
		t.Error("a request from outside has an identity")
	}
}

func TestStreamArrivesBeforeTheHandlerEnds(t *testing.T) {
	next := make(chan struct{})
	h := func(w http.ResponseWriter, req *http.Request) {
		for i := range 3 {
			fmt.Fprintln(w, i)
			w.(http.Flusher).Flush()
			<-next
		}
	}
	resp, err := get(t, t.Context(), client(h, "me"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b := make([]byte, 8)
		n, err := resp.Body.Read(b)
		if err != nil || string(b[:n]) != fmt.Sprintln(i) {
			t.Fatalf("read %q, %v", b[:n], err)
		}
		next <- struct{}{}
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

func TestSlowReaderHoldsTheWriterBack(t *testing.T) {
	var written atomic.Int64
	chunk := bytes.Repeat([]byte("x"), 16<<10)
	h := func(w http.ResponseWriter, req *http.Request) {
		for range 100 {
			n, err := w.Write(chunk)
			if err != nil {
				return
			}
			written.Add(int64(n))
		}
	}
	resp, err := get(t, t.Context(), client(h, "me"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if n := written.Load(); n > pipeLimit+int64(len(chunk)) {
		t.Errorf("%d bytes were written ahead", n)
	}
	all, err := io.ReadAll(resp.Body)
	if err != nil || len(all) != 100*len(chunk) {
		t.Errorf("read %d, %v", len(all), err)
	}
}

func TestHandlerLearnsThatTheClientIsGone(t *testing.T) {
	for name, leave := range map[string]func(context.CancelFunc, *http.Response){
		"context": func(cancel context.CancelFunc, _ *http.Response) { cancel() },
		"body":    func(_ context.CancelFunc, r *http.Response) { _ = r.Body.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			gone, notified := make(chan error, 1), make(chan struct{})
			h := func(w http.ResponseWriter, req *http.Request) {
				w.(http.Flusher).Flush()
				<-w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // the API server uses it
				close(notified)
				<-req.Context().Done()
				for {
					if _, err := w.Write(make([]byte, pipeLimit)); err != nil {
						gone <- err
						return
					}
					if name == "context" {
						gone <- nil
						return
					}
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp, err := get(t, ctx, client(h, "me"))
			if err != nil {
				t.Fatal(err)
			}
			leave(cancel, resp)
			<-notified
			if err := <-gone; err != nil && !errors.Is(err, errReaderGone) {
				t.Error(err)
			}
		})
	}
}

func TestPanicIsAnErrorOfTheClient(t *testing.T) {
	resp, err := get(t, t.Context(), client(func(http.ResponseWriter, *http.Request) { panic(errors.New("ouch")) }, "me"))
	if err == nil || !strings.Contains(err.Error(), "ouch") {
		t.Errorf("before the header: %v, %v", resp, err)
	}
	resp, err = get(t, t.Context(), client(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		panic(http.ErrAbortHandler)
	}, "me"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "half" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestDeadlineEndsAWaitForTheHeader(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := get(t, ctx, client(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, "me"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestContextCarriesNothingButItsEnd(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "outer request"))
	ended := make(chan struct{})
	h := func(_ http.ResponseWriter, req *http.Request) {
		if v := req.Context().Value(key{}); v != nil {
			t.Errorf("the handler sees %v", v)
		}
		cancel()
		<-req.Context().Done()
		close(ended)
	}
	if _, err := get(t, ctx, client(h, "me")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}
