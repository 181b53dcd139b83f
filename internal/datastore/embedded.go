package datastore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	// tick is a leader's sign of life to the other members, and election how long
	// they wait for one. All members must have the same. A member that is alone
	// waits for none of it: see campaign.
	tick     = 100 * time.Millisecond
	election = 10 * tick
	// walSegment is preallocated at the first start (etcd's own default is 64 MiB).
	walSegment = 16 << 20
	// quota bounds the file; etcd refuses writes above it.
	quota = 8 << 30
	// learners may join at the same time; those that gave up count too.
	learners = 5
	// longStart is when a start that waits for others is worth a word.
	longStart = 5 * time.Second
)

// neverListened is advertised by a member that is alone, because etcd wants some URL.
var neverListened = url.URL{Scheme: "http", Host: "localhost:0"}

func embedded(ctx context.Context, c Config) (*Store, error) {
	if c.Dir == "" {
		return nil, errors.New("datastore: neither a directory nor endpoints are given")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("datastore: cannot make %s: %w; is the data directory writable?", c.Dir, err)
	}
	cfg, err := memberConfig(c)
	if err != nil {
		return nil, err
	}
	m := newMember(ctx, c.Self)
	if len(c.Self.Join) > 0 {
		if err := m.listen(); err != nil {
			return nil, err
		}
	}
	smallSegments()
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		m.stop()
		return nil, fmt.Errorf("datastore: embedded etcd in %s: %w", c.Dir, err)
	}
	if err := m.start(e); err != nil {
		m.stop()
		return nil, err
	}
	client := v3client.New(e.Server)
	led := gate(m.ready)
	client.KV = gatedKV{client.KV, led}
	client.Watcher = gatedWatcher{client.Watcher, led}
	s := &Store{Client: &kubernetes.Client{Client: client}, member: m}
	s.Client.Kubernetes = s.Client
	guard(s.Client)
	s.size = func(context.Context) (int64, error) { return e.Server.Backend().Size(), nil }
	s.ready = func(ctx context.Context) error {
		if err := m.await(ctx, c.Dir); err != nil {
			return err
		}
		return m.settle(ctx, client)
	}
	var once sync.Once
	s.close = func() error {
		once.Do(func() {
			_ = client.Close()
			m.stop()
		})
		return nil
	}
	return s, nil
}

func memberConfig(c Config) (*embed.Config, error) {
	cfg := embed.NewConfig()
	cfg.Name = c.Self.Name
	if cfg.Name == "" {
		cfg.Name = aloneName
	}
	cfg.Dir = c.Dir
	cfg.ListenClientUrls, cfg.ListenPeerUrls = nil, nil
	cfg.AdvertiseClientUrls = []url.URL{neverListened}
	cfg.AdvertisePeerUrls = []url.URL{neverListened}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.InitialClusterToken = newToken()
	if len(c.Self.Join) > 0 {
		own, err := url.Parse(c.Self.URL)
		if err != nil {
			return nil, fmt.Errorf("datastore: %w", err)
		}
		cfg.AdvertisePeerUrls = []url.URL{*own}
		cfg.ClusterState = embed.ClusterStateFlagExisting
		cfg.InitialCluster = initialCluster(cfg.Name, c.Self)
	}
	cfg.ForceNewCluster = c.Self.Alone
	cfg.PeerTLSInfo = c.Self.tls()
	cfg.TickMs = uint(tick.Milliseconds())
	cfg.ElectionMs = uint(election.Milliseconds())
	cfg.MaxLearners = learners
	cfg.QuotaBackendBytes = quota
	cfg.SnapshotCount = 10000
	cfg.EnableGRPCGateway = false
	// The API server compacts and it alone knows which revisions are in use.
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "0"
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(serverLogger(lastWords{dir: c.Dir, out: os.Stderr, exit: os.Exit}))
	return cfg, nil
}

// aloneName is that of a member that has not been told its name.
const aloneName = "berth"

// newToken is what the numbers of a new cluster and its members are made of.
func newToken() string { return rand.Text() }

// initialCluster is etcd's way to write the members. Only our own name counts,
// and no other can be like those made here.
func initialCluster(name string, self Self) string {
	var words []string
	for i, m := range self.Join {
		if m.URL == self.URL {
			words = append(words, name+"="+m.URL)
		} else {
			words = append(words, "-"+strconv.Itoa(i)+"="+m.URL)
		}
	}
	return strings.Join(words, ",")
}

// await returns when the member takes part.
func (m *member) await(ctx context.Context, dir string) error {
	long := time.NewTimer(longStart)
	defer long.Stop()
	for {
		select {
		case <-m.ready:
			if isClosed(m.etcd.Server.StopNotify()) {
				return m.ended()
			}
			return nil
		case err := <-m.etcd.Err():
			return fmt.Errorf("datastore: embedded etcd in %s stopped: %w", dir, err)
		case <-long.C:
			slog.WarnContext(ctx, "the datastore waits until more than half of its servers run and reach one another", "servers", strings.Join(m.urls(), " "))
		case <-ctx.Done():
			return fmt.Errorf("datastore: embedded etcd in %s is not ready: %w", dir, context.Cause(ctx))
		}
	}
}

// smallSegments applies to all members of this process.
var smallSegments = sync.OnceFunc(func() { wal.SegmentSizeBytes = walSegment })
