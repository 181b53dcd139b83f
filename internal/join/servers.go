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
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
)

// dialTimeout is how long one server may take to answer while there are others.
const dialTimeout = 2 * time.Second

// NoQuorumHeader is on the answers of a server that can do nothing for now, though
// others may.
const NoQuorumHeader = "Berth-No-Quorum"

const (
	// Connections are given up after so long without any sign from the other end,
	// which may have lost its power: a node that waits longer is taken for dead itself.
	silentFor  = 10 * time.Second
	probeAfter = 5 * time.Second
	probeEach  = 2 * time.Second
	// leaveEach spaces out how often another server is tried.
	leaveEach = time.Second
)

// Servers are the addresses of all API servers, the one that answered last
// first.
type Servers struct {
	// Dialer connects; nil is an ordinary one.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)

	given []string // by the user: always tried, for the cluster may be behind another address

	mu        sync.Mutex
	addresses []string
	left      time.Time
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
		dial = (&net.Dialer{
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEach, Count: 3},
			Control:         giveUpSilent,
		}).DialContext
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

// giveUpSilent bounds how long what was sent may stay unanswered.
func giveUpSilent(_, _ string, c syscall.RawConn) error {
	var err error
	if failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silentFor.Milliseconds()))
	}); failed != nil {
		return failed
	}
	return err
}

// Leave says that the server that answered last can do nothing: the next one is
// tried first from now on. It is false when that was just said or there is no other.
func (s *Servers) Leave() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.addresses) < 2 || time.Since(s.left) < leaveEach {
		return false
	}
	s.left = time.Now()
	s.addresses = append(s.addresses[1:len(s.addresses):len(s.addresses)], s.addresses[0])
	return true
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
