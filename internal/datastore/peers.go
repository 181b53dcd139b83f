package datastore

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
)

// peers is where other members reach this one. etcd would open it at its own
// start only; a member that is alone does without until another comes.
type peers struct {
	listener net.Listener
	server   http.Server
	once     sync.Once
}

func listenPeers(s Self) (*peers, error) {
	tls := s.tls()
	ln, err := transport.NewListenerWithOpts(s.Listen, "https",
		transport.WithTLSInfo(&tls), transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout))
	if err != nil {
		return nil, fmt.Errorf("datastore: cannot listen for other servers on %s: %w; choose another --peer-port", s.Listen, err)
	}
	return &peers{listener: ln}, nil
}

// serve answers for a member; before it, connections wait.
func (p *peers) serve(e *embed.Etcd) {
	p.once.Do(func() {
		p.server.Handler = etcdhttp.NewPeerHandler(e.GetLogger(), e.Server)
		p.server.ReadTimeout = 5 * time.Minute // of one request's body, which may be a snapshot
		p.server.ErrorLog = log.New(io.Discard, "", 0)
		go func() { _ = p.server.Serve(p.listener) }()
	})
}

func (p *peers) close() {
	_ = p.server.Close()
	_ = p.listener.Close()
}
