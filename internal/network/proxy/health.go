package proxy

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/packet"
)

// health answers the load balancers that ask, at a port for each Service,
// whether this node has endpoints of it.
type health struct {
	log *slog.Logger
	mu  sync.Mutex
	at  map[types.NamespacedName]*answer
}

// answer is one Service's.
type answer struct {
	service types.NamespacedName
	mu      sync.Mutex
	health  packet.Health
	server  *http.Server
}

func newHealth(log *slog.Logger) *health {
	return &health{log: log, at: map[types.NamespacedName]*answer{}}
}

// set says how a Service is; nobody asks at port 0.
func (h *health) set(name types.NamespacedName, now packet.Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.at[name]
	if a != nil && a.health.Port != now.Port {
		_ = a.server.Close()
		delete(h.at, name)
		a = nil
	}
	if now.Port == 0 {
		return
	}
	if a == nil {
		l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(now.Port))))
		if err != nil {
			h.log.Error("the health of a service is not told", "service", name.String(), "err", err)
			return
		}
		a = &answer{service: name}
		a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
		h.at[name] = a
		go func() { _ = a.server.Serve(l) }() // until it is closed
	}
	a.mu.Lock()
	a.health = now
	a.mu.Unlock()
}

func (h *health) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, a := range h.at {
		_ = a.server.Close()
		delete(h.at, name)
	}
}

// ServeHTTP answers as upstream's proxy does.
func (a *answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	local := a.health.Local
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(local))
	if local == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"service":             map[string]string{"namespace": a.service.Namespace, "name": a.service.Name},
		"localEndpoints":      local,
		"serviceProxyHealthy": true,
	})
}
