// Package datastore gives the API server its etcd: one embedded member without
// any listener, or an existing cluster. Both hand out the same client.
package datastore

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

// Config says where the cluster's state lives.
type Config struct {
	// Dir is the folder of the embedded member; used when Endpoints is empty.
	Dir string
	// Endpoints are the client URLs of an existing etcd cluster.
	Endpoints []string
	// TLS files for Endpoints; empty means the system's trust and no client certificate.
	CAFile, CertFile, KeyFile string
	// Prefix is the root of all keys, "/registry" when empty.
	Prefix string
	// Self is how the embedded member meets others; a member that stays alone
	// needs nothing of it.
	Self Self
}

// Store is an open datastore.
type Store struct {
	// Client speaks to etcd. It may be used before Ready: calls wait for a leader.
	Client *kubernetes.Client
	// Prefix is the root of all keys.
	Prefix string
	// member is the embedded one, nil for an existing cluster.
	member *member
	ready  func(context.Context) error
	size   func(context.Context) (int64, error)
	close  func() error
}

// Open starts the embedded member or connects to the endpoints. An embedded
// member elects its leader in the background; WaitReady waits for it.
func Open(ctx context.Context, c Config) (*Store, error) {
	var (
		s   *Store
		err error
	)
	if len(c.Endpoints) > 0 {
		s, err = connect(ctx, c)
	} else {
		s, err = embedded(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	s.Prefix = c.Prefix
	if s.Prefix == "" {
		s.Prefix = "/registry"
	}
	return s, nil
}

// WaitReady returns when the datastore answers.
func (s *Store) WaitReady(ctx context.Context) error { return s.ready(ctx) }

// Check asks the datastore for a key, as health checks do.
func (s *Store) Check(ctx context.Context) error {
	if _, err := s.Quorum(); err != nil {
		return err
	}
	if _, err := s.Client.KV.Get(ctx, s.Prefix+"/health", clientv3.WithCountOnly()); err != nil {
		return fmt.Errorf("etcd does not answer: %w", err)
	}
	return nil
}

// Size is how many bytes the datastore takes on disk.
func (s *Store) Size(ctx context.Context) (int64, error) { return s.size(ctx) }

// Close stops the embedded member, with all it has acknowledged on disk, or
// closes the connections.
func (s *Store) Close() error { return s.close() }
