package datastore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// Self says how this server's embedded member meets those of other servers.
type Self struct {
	// Name is this server's.
	Name string
	// Listen is host:port where it is to listen for others, once there can be
	// some, and URL where they reach it.
	Listen, URL string
	// CAFile, CertFile and KeyFile are by what members know one another.
	CAFile, CertFile, KeyFile string
	// ServerName is a name that all their certificates hold.
	ServerName string
	// Join are the members, this one among them, of the cluster that a member
	// without data is to be one of.
	Join []Member
	// Alone forgets all other members: they are lost, and their data with them.
	Alone bool
}

func (s Self) tls() transport.TLSInfo {
	if s.CertFile == "" {
		return transport.TLSInfo{}
	}
	return transport.TLSInfo{
		TrustedCAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile, ServerName: s.ServerName,
		ClientCertAuth: true,
		// Whoever has a certificate of this authority is a server, wherever it is.
		SkipClientSANVerify: true,
	}
}

// handOverWithin bounds how long a leader that stops looks for another.
const handOverWithin = 1500 * time.Millisecond

// member is the embedded one.
type member struct {
	self    Self
	life    context.Context // of what it does by itself
	etcd    *embed.Etcd
	closing chan struct{} // closed when we stop it
	shared  chan struct{} // closed when other servers can use this datastore
	ready   chan struct{} // closed when it takes part

	mu       sync.Mutex
	peers    *peers // nil while it does not listen
	yield    context.CancelFunc
	yielded  chan struct{}
	together quorum
}

func newMember(ctx context.Context, self Self) *member {
	return &member{self: self, life: context.WithoutCancel(ctx), closing: make(chan struct{}), shared: make(chan struct{}), ready: make(chan struct{})}
}

// start takes over a member that has just been started.
func (m *member) start(e *embed.Etcd) error {
	m.etcd = e
	go m.awaitReady()
	if len(e.Server.Cluster().Members()) > 1 {
		if err := m.listen(); err != nil {
			return err
		}
	} else {
		go m.campaign()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers != nil {
		m.peers.serve(e)
	}
	return nil
}

// awaitReady notices when the member takes part: etcd says so when it has
// published its name, or a read has gone the whole way. The first says nothing for
// seconds when the news of it comes in a snapshot, as to a new member.
func (m *member) awaitReady() {
	defer close(m.ready)
	if len(m.etcd.Server.Cluster().Members()) > 1 {
		ctx, cancel := context.WithCancel(m.life)
		defer cancel()
		read := make(chan struct{})
		go func() {
			defer close(read)
			for ctx.Err() == nil && !isClosed(m.etcd.Server.StopNotify()) {
				if m.etcd.Server.LinearizableReadNotify(ctx) == nil {
					return
				}
			}
		}()
		select {
		case <-read:
			return
		case <-m.etcd.Server.ReadyNotify():
			return
		case <-m.etcd.Server.StopNotify():
			return
		}
	}
	select {
	case <-m.etcd.Server.ReadyNotify():
	case <-m.etcd.Server.StopNotify():
	}
}

// settle looks, when the member takes part, whether it is alone.
func (m *member) settle(ctx context.Context, client *clientv3.Client) error {
	if len(m.etcd.Server.Cluster().Members()) < 2 {
		return nil
	}
	if err := m.share(ctx); err != nil {
		return err
	}
	return m.tell(ctx, client)
}

// share lets other members come: what may only be done alone is ended first.
func (m *member) share(ctx context.Context) error {
	if err := m.listen(); err != nil {
		return err
	}
	m.mu.Lock()
	m.peers.serve(m.etcd)
	m.mu.Unlock()
	return m.letOthersIn(ctx)
}

func (m *member) letOthersIn(ctx context.Context) error {
	m.mu.Lock()
	if !isClosed(m.shared) {
		close(m.shared)
		m.together.begin(m.life)
		go m.watchQuorum()
	}
	yield, yielded := m.yield, m.yielded
	m.mu.Unlock()
	if yield == nil {
		return nil
	}
	yield()
	select {
	case <-yielded:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the control loops have not stopped yet: %w", ctx.Err())
	}
}

// tell lets the members know where this one is reached.
func (m *member) tell(ctx context.Context, client *clientv3.Client) error {
	id := m.etcd.Server.MemberID()
	if self := m.etcd.Server.Cluster().Member(id); m.self.URL == "" || self == nil || slices.Equal(self.PeerURLs, []string{m.self.URL}) {
		return nil
	}
	if _, err := client.MemberUpdate(ctx, uint64(id), []string{m.self.URL}); err != nil {
		return fmt.Errorf("datastore: say that this server is at %s: %w", m.self.URL, err)
	}
	return nil
}

func (m *member) listen() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers != nil {
		return nil
	}
	if m.self.Listen == "" || m.self.CertFile == "" {
		return errors.New("datastore: this server was not told how to meet others")
	}
	ln, err := listenPeers(m.self)
	if err != nil {
		return err
	}
	m.peers = ln
	return nil
}

// whileAlone runs act while no other server can use the datastore.
func (m *member) whileAlone(ctx context.Context, act func(context.Context) error) error {
	m.mu.Lock()
	if isClosed(m.shared) {
		m.mu.Unlock()
		return nil
	}
	ctx, m.yield = context.WithCancel(ctx)
	defer m.yield()
	m.yielded = make(chan struct{})
	defer close(m.yielded)
	m.mu.Unlock()
	err := act(ctx)
	if isClosed(m.shared) && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (m *member) urls() []string {
	var all []string
	for _, other := range m.etcd.Server.Cluster().Members() {
		all = append(all, other.PeerURLs...)
	}
	return all
}

// ErrRemoved says that this server is no member of its cluster any more.
var ErrRemoved = errors.New("this server was removed from its cluster")

// ended is why the member has ended, nil when we stopped it.
func (m *member) ended() error {
	if isClosed(m.closing) {
		return net.ErrClosed
	}
	return ErrRemoved
}

// stop hands leadership over, ends the member, and after it what it is reached by.
func (m *member) stop() {
	if !isClosed(m.closing) {
		close(m.closing)
	}
	if m.etcd != nil {
		m.handOver()
		m.etcd.Server.HardStop() // etcd's own Close would try for longer
		m.etcd.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.together.end()
	if m.peers != nil {
		m.peers.close()
	}
}

// handOver makes another member the leader, if this one is and that can be done soon.
func (m *member) handOver() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.etcd.Server.TryTransferLeadershipOnShutdown() // ends with the member at the latest
	}()
	late := time.NewTimer(handOverWithin)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
