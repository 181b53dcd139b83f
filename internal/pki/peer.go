package pki

import (
	"path/filepath"

	"k8s.io/utils/clock"
)

// PeerName is a name that every server's peer certificate holds, so that it can
// be checked whatever address the server is reached at.
const PeerName = "berth-peer"

// Peer is by what servers that share an embedded datastore know one another. Its
// authority is of its own: no node's or client's certificate opens the datastore.
type Peer struct {
	Pair
	CAFile string
}

// EnsurePeer returns the peer certificate in dir, and makes what is missing.
func EnsurePeer(dir, server string, c clock.PassiveClock) (Peer, error) {
	if c == nil {
		c = clock.RealClock{}
	}
	ca, err := ensureAuthority(dir, peerAuthority, c)
	if err != nil {
		return Peer{}, err
	}
	pair, err := ca.ensurePair(dir, "peer", Subject{CommonName: server, DNSNames: []string{PeerName}, Peer: true})
	return Peer{Pair: pair, CAFile: filepath.Join(dir, peerAuthority.name+".crt")}, err
}
