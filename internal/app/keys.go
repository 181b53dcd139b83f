package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/keyring"
)

// serverToken is what the user has given.
func (c Config) serverToken() (keyring.Token, error) {
	text, flag := c.Token, "--token"
	if c.TokenFile != "" {
		if text != "" {
			return keyring.Token{}, errors.New("--token-file: give this or --token, not both")
		}
		data, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return keyring.Token{}, fmt.Errorf("--token-file: %w", err)
		}
		text, flag = string(data), "--token-file"
		if text == "" {
			return keyring.Token{}, fmt.Errorf("--token-file: %s is empty", c.TokenFile)
		}
	}
	if text == "" {
		return keyring.Token{}, nil
	}
	t, err := keyring.ParseToken(text)
	if err != nil {
		return t, fmt.Errorf("%s: %w", flag, err)
	}
	return t, nil
}

// keyring is this server's, without the datastore.
func (s *server) keyring(token keyring.Token) keyring.Config {
	return keyring.Config{
		Dir: s.dir.PKI(), TokenFile: s.dir.ServerToken(), Token: token,
		Cluster: s.agreement(), Encrypt: s.cfg.API.SecretsEncryption,
	}
}

// agreement is what all machines of the cluster have in common.
func (s *server) agreement() join.Cluster {
	return join.Cluster{ClusterCIDRs: s.cfg.ClusterCIDRs, ServiceCIDRs: s.cfg.ServiceCIDRs, ClusterDomain: s.cfg.ClusterDomain}
}

// shareKeys takes part in the keys that the datastore holds for all servers. An
// embedded datastore gets them later, when nobody waits for this server.
func (s *server) shareKeys(ctx context.Context) error {
	if _, err := os.Stat(memoryFile(s.dir)); err == nil {
		return fmt.Errorf("%s is the data directory of a node that joined with `berth agent`; choose another --data-dir", s.dir.Path())
	}
	token, err := s.cfg.serverToken()
	if err != nil {
		return err
	}
	ring := s.keyring(token)
	if len(s.cfg.DatastoreEndpoints) == 0 {
		several, err := s.oneOfSeveral(ctx, ring)
		if several || err != nil {
			return err
		}
		if token.Authority != "" {
			if _, err := os.Stat(filepath.Join(s.dir.PKI(), "ca.crt")); err != nil {
				return errors.New("--token: it is that of a cluster; say where a server of it is with --server, or its datastore with --datastore-endpoint")
			}
		}
		if _, err := os.Stat(s.dir.Etcd()); errors.Is(err, os.ErrNotExist) {
			s.keysLater = &ring
			_, err := keyring.EnsureToken(s.dir.ServerToken(), token.Secret)
			return err
		}
		settled, err := ring.Settled()
		if settled || err != nil {
			return err
		}
	}
	had := s.hasPeerKeys()
	if err := s.openEarly(ctx, ring); err != nil || had || len(s.cfg.DatastoreEndpoints) > 0 {
		return err
	}
	// Its keys have come out of the datastore only now. It is opened with them.
	store := s.store
	s.store = nil
	return store.Close()
}

// openEarly opens the datastore and takes part in its keys, before anything else.
func (s *server) openEarly(ctx context.Context, ring keyring.Config) (err error) {
	if s.store, err = s.openStore(ctx, nil); err != nil {
		return err
	}
	if err := s.store.WaitReady(ctx); err != nil {
		return s.removed(err)
	}
	ring.KV, ring.Prefix = s.store.Client.KV, s.store.Prefix
	return ring.Sync(ctx)
}

// runKeys puts the keys of a new cluster into its embedded datastore.
func (s *server) runKeys(ctx context.Context, ready func()) error {
	ready()
	if s.keysLater == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.nodeReady:
	}
	ring := *s.keysLater
	ring.KV, ring.Prefix = s.store.Client.KV, s.store.Prefix
	return ignoring(ctx, untilDone(ctx, s.log, ring.Sync))
}

// openStore opens the datastore; members are those that a server joins.
func (s *server) openStore(ctx context.Context, members []datastore.Member) (*datastore.Store, error) {
	c := datastore.Config{
		Dir: s.dir.Etcd(), Endpoints: s.cfg.DatastoreEndpoints,
		CAFile: s.cfg.DatastoreCAFile, CertFile: s.cfg.DatastoreCertFile, KeyFile: s.cfg.DatastoreKeyFile,
	}
	if len(c.Endpoints) == 0 && s.hasPeerKeys() {
		self, err := s.self()
		if err != nil {
			return nil, err
		}
		c.Self, c.Self.Join = self, members
	}
	return datastore.Open(ctx, c)
}
