package join

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// dialTimeout is how long one server may take to answer while there are others.
const dialTimeout = 2 * time.Second

// Servers are the addresses of all API servers, the one that answered last
// first.
type Servers struct {
	// Dialer connects; nil is an ordinary one.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)

	given []string // by the user: always tried, for the cluster may be behind another address

	mu        sync.Mutex
	addresses []string
}

// NewServers starts with what the user has given: host:port each.
func NewServers(given ...string) *Servers {
	return &Servers{given: given, addresses: slices.Clone(given)}
}

// Addresses are those that are known now.
func (s *Servers) Addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addresses)
}

// Know replaces the list and says whether it is another. The order of those
// that stay is kept, and what the user has given stays; an empty list is not
// believed.
func (s *Servers) Know(addresses []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(addresses) == 0 {
		return false
	}
	addresses = slices.Concat(addresses, s.given)
	next := slices.DeleteFunc(slices.Clone(s.addresses), func(a string) bool { return !slices.Contains(addresses, a) })
	for _, a := range addresses {
		if !slices.Contains(next, a) {
			next = append(next, a)
		}
	}
	changed := !slices.Equal(next, s.addresses)
	s.addresses = next
	return changed
}

// Dial connects to the first server that answers; which one is asked for does
// not matter. It fits rest.Config.Dial.
func (s *Servers) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	dial := s.Dialer
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	var problems []error
	for _, address := range s.Addresses() {
		conn, err := func() (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, address)
		}()
		if err == nil {
			s.answered(address)
			return conn, nil
		}
		problems = append(problems, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("no server answers: %w", errors.Join(problems...))
}

func (s *Servers) answered(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.addresses, address); i > 0 {
		s.addresses = slices.Insert(slices.Delete(s.addresses, i, i+1), 0, address)
	}
}

// Config is a client of these servers that believes ca.
func (s *Servers) Config(caFile string) *rest.Config {
	return &rest.Config{
		Host: "https://" + ServerName, Dial: s.Dial, QPS: -1,
		Proxy:           func(*http.Request) (*url.URL, error) { return nil, nil },
		TLSClientConfig: rest.TLSClientConfig{CAFile: caFile, ServerName: ServerName},
	}
}
