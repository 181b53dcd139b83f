package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// longest is how long a service serves on at most after it was told to end.
const longest = 20 * time.Second

// serve answers until ctx is done, and then for as long as requests still come:
// whoever sends them may not have heard yet that this pod is going.
func serve(ctx context.Context, listener net.Listener, linger time.Duration, handler http.Handler) error {
	var last atomic.Int64 // request, in Unix nanoseconds
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			last.Store(time.Now().UnixNano())
		}
		handler.ServeHTTP(w, r)
	})}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		server.SetKeepAlivesEnabled(false) // every answer says: come back on another connection
		told := time.Now()
		for {
			quiet := time.Since(time.Unix(0, max(last.Load(), told.UnixNano())))
			if quiet >= linger || time.Since(told) >= longest {
				break
			}
			time.Sleep(linger - quiet)
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		ended <- server.Shutdown(end)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	return <-ended
}

func healthy(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone, or has it
}
