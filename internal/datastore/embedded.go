package datastore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	// A single member elects itself within one to five of these ticks; each
	// tick costs CPU as long as the server lives.
	tick     = 25 * time.Millisecond
	election = 5 * tick
	// walSegment is preallocated at the first start (etcd's own default is 64 MiB).
	walSegment = 16 << 20
	// quota bounds the file; etcd refuses writes above it.
	quota = 8 << 30
)

// neverListened is advertised only because etcd wants some URL.
var neverListened = url.URL{Scheme: "http", Host: "localhost:0"}

func embedded(c Config) (*Store, error) {
	if c.Dir == "" {
		return nil, errors.New("datastore: neither a directory nor endpoints are given")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("datastore: cannot make %s: %w; is the data directory writable?", c.Dir, err)
	}
	cfg := embed.NewConfig()
	cfg.Name = "berth"
	cfg.Dir = c.Dir
	cfg.ListenClientUrls, cfg.ListenPeerUrls = nil, nil
	cfg.AdvertiseClientUrls = []url.URL{neverListened}
	cfg.AdvertisePeerUrls = []url.URL{neverListened}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs = uint(tick.Milliseconds())
	cfg.ElectionMs = uint(election.Milliseconds())
	cfg.QuotaBackendBytes = quota
	cfg.SnapshotCount = 10000
	cfg.EnableGRPCGateway = false
	// The API server compacts and it alone knows which revisions are in use.
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "0"
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(serverLogger(lastWords{dir: c.Dir, out: os.Stderr, exit: os.Exit}))

	smallSegments()
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("datastore: embedded etcd in %s: %w", c.Dir, err)
	}
	client := v3client.New(e.Server)
	led := gate(e.Server.ReadyNotify())
	client.KV = gatedKV{client.KV, led}
	client.Watcher = gatedWatcher{client.Watcher, led}
	s := &Store{
		Client:   &kubernetes.Client{Client: client},
		Embedded: true,
		ready: func(ctx context.Context) error {
			select {
			case <-e.Server.ReadyNotify():
				return nil
			case err := <-e.Err():
				return fmt.Errorf("datastore: embedded etcd in %s stopped: %w", c.Dir, err)
			case <-ctx.Done():
				return fmt.Errorf("datastore: embedded etcd in %s is not ready: %w", c.Dir, context.Cause(ctx))
			}
		},
	}
	s.size = func(context.Context) (int64, error) { return e.Server.Backend().Size(), nil }
	s.Client.Kubernetes = s.Client
	var once sync.Once
	s.close = func() error {
		once.Do(func() {
			_ = client.Close()
			e.Close()
		})
		return nil
	}
	return s, nil
}

// smallSegments applies to all members of this process.
var smallSegments = sync.OnceFunc(func() { wal.SegmentSizeBytes = walSegment })
