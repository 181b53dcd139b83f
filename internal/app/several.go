package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/keyring"
	"berth.dev/berth/internal/member"
	"berth.dev/berth/internal/pki"
)

// oneOfSeveral opens the datastore of a server that shares it with others, or
// joins them. It is false for one that is alone.
func (s *server) oneOfSeveral(ctx context.Context, ring keyring.Config) (bool, error) {
	m, err := member.Read(s.dir.Member())
	if err != nil {
		return false, err
	}
	_, err = os.Stat(s.dir.Etcd())
	hasData := err == nil
	switch {
	case m.State == member.Joined && m.Server != "" && m.Server != s.nodeName:
		return true, fmt.Errorf("--node-name: this data directory is server %s's; use that name, or another --data-dir", m.Server)
	case m.State == member.Joined && !s.hasPeerKeys():
		return true, fmt.Errorf("%s is missing: copy peer-ca.key and peer-ca.crt from another server of the cluster", filepath.Join(s.dir.PKI(), "peer-ca.crt"))
	case m.State == member.Joined:
		if err := s.openEarly(ctx, ring); err != nil {
			return true, err
		}
		return true, s.promote(ctx)
	case len(s.cfg.Servers) > 0 && m.State == "" && hasData:
		return true, fmt.Errorf("--server: %s holds a cluster of its own; leave --server out to run that one, or choose another --data-dir", s.dir.Path())
	case len(s.cfg.Servers) > 0:
		return true, s.joinServers(ctx, ring)
	case m.State == member.Joining:
		return true, errors.New("--server: this server has not finished joining; start it again with the same --server and --token-file")
	case m.State == member.Removed:
		return true, errRemoved
	}
	return false, nil
}

var errRemoved = errors.New("this server was removed from its cluster; to join again give --server and --token-file, for a cluster of its own choose another --data-dir")

// removed remembers that this server is a member no more.
func (s *server) removed(err error) error {
	if !errors.Is(err, datastore.ErrRemoved) {
		return err
	}
	if err := (member.Memory{State: member.Removed, Server: s.nodeName}).Write(s.dir.Member()); err != nil {
		return err
	}
	return errRemoved
}

// runDatastore ends this server when it is removed from the cluster.
func (s *server) runDatastore(ctx context.Context, ready func()) error {
	ready()
	select {
	case <-ctx.Done():
		return nil
	case <-s.store.Ended():
		return s.removed(datastore.ErrRemoved)
	}
}

func (s *server) hasPeerKeys() bool {
	for _, name := range []string{"peer-ca.key", "peer-ca.crt"} {
		if _, err := os.Stat(filepath.Join(s.dir.PKI(), name)); err != nil {
			return false
		}
	}
	return true
}

// self is how this server's embedded datastore meets others.
func (s *server) self() (datastore.Self, error) {
	peer, err := pki.EnsurePeer(s.dir.PKI(), s.nodeName, nil)
	return datastore.Self{
		Name: s.nodeName, URL: s.peerURL(), Listen: net.JoinHostPort(s.cfg.BindAddress, strconv.Itoa(s.cfg.PeerPort)),
		CAFile: peer.CAFile, CertFile: peer.CertFile, KeyFile: peer.KeyFile, ServerName: pki.PeerName,
	}, err
}

func (s *server) peerURL() string {
	return "https://" + net.JoinHostPort(s.nodeIPs[0].String(), strconv.Itoa(s.cfg.PeerPort))
}

// joinServers makes this server one of those of a cluster. Until it has all data
// it can be done again from the beginning.
func (s *server) joinServers(ctx context.Context, ring keyring.Config) error {
	if ring.Token.Authority == "" {
		return errors.New("--token-file: to join a server give the whole token that `berth token --server` prints there")
	}
	who := member.Candidate{Name: s.nodeName, URL: s.peerURL(), Version: Version(), Cluster: s.agreement()}
	client, err := s.findServer(ctx, ring.Token)
	if err != nil {
		return err
	}
	var sealed []byte
	err = s.patiently(ctx, "the server does not hand out the cluster's keys yet", func(ctx context.Context) (err error) {
		sealed, err = client.Keys(ctx, who)
		return err
	})
	if err != nil {
		return err
	}
	if err := ring.Adopt(ctx, sealed); err != nil {
		return err
	}
	if !s.hasPeerKeys() {
		return errors.New("--server: the cluster has no keys for servers that share an embedded datastore; start that server again with this version first")
	}
	if err := (member.Memory{State: member.Joining, Server: s.nodeName}).Write(s.dir.Member()); err != nil {
		return err
	}
	s.log.Info("the cluster's keys are here; asking to be let in")
	var members []datastore.Member
	err = s.patiently(ctx, "the servers do not let this one in yet", func(ctx context.Context) (err error) {
		members, err = client.Admit(ctx, who)
		return err
	})
	if err != nil {
		return err
	}
	// What an earlier try has left is of a member that is forgotten now.
	if err := os.RemoveAll(s.dir.Etcd()); err != nil {
		return err
	}
	s.log.Info("let in; reading the datastore", "servers", len(members))
	if s.store, err = s.openStore(ctx, members); err != nil {
		return fmt.Errorf("%w; the other servers must be reachable at the addresses that `berth server list` prints there", err)
	}
	if err := s.store.WaitReady(ctx); err != nil {
		return err
	}
	s.log.Info("this server takes part in the datastore")
	// From now on its data counts, and must not be thrown away.
	if err := (member.Memory{State: member.Joined, Server: s.nodeName}).Write(s.dir.Member()); err != nil {
		return err
	}
	ring.KV, ring.Prefix = s.store.Client.KV, s.store.Prefix
	if err := ring.Sync(ctx); err != nil {
		return err
	}
	return s.promote(ctx)
}

// findServer asks for a server that has proved to be of the token's cluster.
func (s *server) findServer(ctx context.Context, token keyring.Token) (*member.Client, error) {
	var problems []error
	for _, server := range s.cfg.Servers {
		ca, err := join.FetchAuthority(ctx, server, join.Token{Authority: token.Authority})
		if errors.Is(err, join.ErrForeign) {
			return nil, fmt.Errorf("--token-file: %s: %w", server, err)
		}
		if err == nil {
			return member.NewClient(server, ca, token.Secret)
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("--server: no server answers: %w; is berth running there, and is its port open for this machine?", errors.Join(problems...))
}

// promote makes this server count, as soon as it has what the others have.
func (s *server) promote(ctx context.Context) error {
	return s.patiently(ctx, "this server does not count yet; can the others reach it at "+s.peerURL()+"?", s.store.Promote)
}

// patiently tries again until it works or it is no use.
func (s *server) patiently(ctx context.Context, while string, try func(context.Context) error) error {
	wait := 50 * time.Millisecond
	for n := 0; ; n++ {
		err := try(ctx)
		var no member.Refusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &no):
			return fmt.Errorf("--server: %w", err)
		case errors.Is(err, member.ErrToken):
			return fmt.Errorf("--token-file: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if n%20 == 10 {
			s.log.Warn(while, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Second)
	}
}

// servers answers those that join, and administrators.
func (s *server) servers(store *datastore.Store) map[string]apiserver.Handler {
	h := &member.Handler{
		Datastore: store, Version: Version(), Cluster: s.agreement(), Log: s.log,
		Keys: func(ctx context.Context) ([]byte, error) {
			ring := s.keyring(keyring.Token{})
			ring.KV, ring.Prefix = store.Client.KV, store.Prefix
			if err := ring.Sync(ctx); err != nil {
				return nil, err
			}
			return ring.Sealed(ctx)
		},
		NodeLives: s.nodeLives,
		Admitted: func() error {
			return member.Memory{State: member.Joined, Server: s.nodeName}.Write(s.dir.Member())
		},
	}
	all := s.snapshots(store)
	all[member.Path], all[member.Path+"/"] = apiserver.Handler{Handler: h}, apiserver.Handler{Handler: h, Prefix: true}
	return all
}

// nodeLives says whether there is a node of this name that is Ready.
func (s *server) nodeLives(ctx context.Context, name string) (bool, error) {
	client, err := kubernetes.NewForConfig(s.api.ClientConfig(user.APIServerUser, user.SystemPrivilegedGroup))
	if err != nil {
		return false, err
	}
	n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue, nil
		}
	}
	return false, nil
}
