package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
)

const (
	// Path lists the servers; below it each has its own.
	Path = "/berth/servers"
	// keysPath is where a candidate gets the cluster's keys, sealed as they are in
	// the datastore. No node can be named so.
	keysPath = Path + "/_keys"
	// longestBody is more than any candidate has to say.
	longestBody = 64 << 10
)

// Datastore is the embedded one.
type Datastore interface {
	Members(ctx context.Context) ([]datastore.Member, error)
	Admit(ctx context.Context, url string) ([]datastore.Member, error)
	Remove(ctx context.Context, id uint64) error
}

// Handler answers at Path and below. Who may ask what is checked before it.
type Handler struct {
	Datastore Datastore
	Version   string
	Cluster   join.Cluster
	// Keys are the cluster's, sealed; nil when they are not in the datastore yet.
	Keys func(ctx context.Context) ([]byte, error)
	// NodeLives says whether a node of this name is Ready.
	NodeLives func(ctx context.Context, name string) (bool, error)
	// Admitted is called before the first other server is let in.
	Admitted func() error
	Log      *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h.answer(r)
	var no Refusal
	switch {
	case errors.As(err, &no):
		http.Error(w, no.Error(), http.StatusConflict)
	case errors.Is(err, errUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, datastore.ErrExternal), errors.Is(err, datastore.ErrTooFew):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // who is gone hears nothing
	}
}

// errUnknown is about a path or a server that is not there.
var errUnknown = errors.New("there is no such server")

func (h *Handler) answer(r *http.Request) (any, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, Path), "/")
	switch {
	case name == "" && r.Method == http.MethodGet:
		return h.Datastore.Members(r.Context())
	case name != "" && r.Method == http.MethodDelete:
		return struct{}{}, h.remove(r.Context(), name)
	case name != "" && r.Method == http.MethodPost:
		var c Candidate
		if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, longestBody)).Decode(&c); err != nil {
			return nil, refuse("this is no request of a server: %v", err)
		}
		if err := h.check(r.Context(), c); err != nil {
			return nil, err
		}
		if r.URL.Path == keysPath {
			return h.keys(r.Context())
		}
		return h.admit(r.Context(), c)
	}
	return nil, errUnknown
}

func (h *Handler) check(ctx context.Context, c Candidate) error {
	members, err := h.Datastore.Members(ctx)
	if err != nil {
		return err
	}
	if err := c.fits(h.Version, h.Cluster, members); err != nil {
		return err
	}
	lives, err := h.NodeLives(ctx, c.Name)
	if err == nil && lives {
		err = refuse("--node-name: a node %s of this cluster is Ready; choose another name, or stop it and wait until it is NotReady", c.Name)
	}
	return err
}

func (h *Handler) keys(ctx context.Context) ([]byte, error) {
	sealed, err := h.Keys(ctx)
	if err == nil && sealed == nil {
		err = errors.New("the cluster's keys are not in the datastore yet")
	}
	return sealed, err
}

func (h *Handler) admit(ctx context.Context, c Candidate) ([]datastore.Member, error) {
	if err := h.Admitted(); err != nil {
		return nil, err
	}
	members, err := h.Datastore.Admit(ctx, c.URL)
	if err == nil {
		h.Log.Info("a server joins", "server", c.Name, "url", c.URL)
	}
	return members, err
}

// remove takes a server out by its name or, before it has one, its address.
func (h *Handler) remove(ctx context.Context, name string) error {
	members, err := h.Datastore.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Name != name && (m.Name != "" || !strings.Contains(m.URL, "//"+name+":")) {
			continue
		}
		if len(members) == 1 {
			return refuse("%s is the only server; to end the cluster stop it and remove its data directory", name)
		}
		if err := h.Datastore.Remove(ctx, m.ID); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		h.Log.Info("a server was removed", "server", name, "url", m.URL)
		return nil
	}
	return fmt.Errorf("%w: %s; `berth server list` prints them", errUnknown, name)
}
