package snapshot

import (
	"context"
	"io"
	"net/http"
)

// Path is where the API server hands a snapshot out. Who may have it is checked
// before.
const Path = "/berth/snapshot"

// Handler answers at Path with a snapshot that take writes.
func Handler(take func(context.Context, io.Writer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "only GET is known here", http.StatusMethodNotAllowed)
			return
		}
		out := &answer{ResponseWriter: w}
		err := take(r.Context(), out)
		switch {
		case err == nil:
		case out.begun: // the client must not take what it has for the whole
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

// answer knows whether anything was written.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		a.Header().Set("Content-Type", "application/octet-stream")
	}
	return a.ResponseWriter.Write(p)
}
