package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"k8s.io/utils/clock"

	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/snapshot"
	"berth.dev/berth/internal/snapshot/s3"
)

// ClusterFolder is the folder of a cluster's snapshots in a bucket: clusters that
// share one never meet. A restored cluster has the one that it had.
func ClusterFolder(authority *x509.Certificate) string { return join.Hash(authority)[:12] }

// Copy puts a snapshot's file into the bucket, with what is in it beside it. One
// that is damaged is not copied.
func Copy(ctx context.Context, b *s3.Bucket, key, file, cluster string) error {
	content, err := datastore.Inspect(file)
	if err != nil {
		return err
	}
	return b.Put(ctx, key, file, s3.About{Cluster: cluster, Revision: content.Revision, Keys: content.Keys})
}

// offsite keeps the scheduled snapshots' copies.
func (s *server) offsite(taken <-chan struct{}) snapshot.Offsite {
	c, cluster := s.cfg.SnapshotS3, ClusterFolder(s.pki.CA.Cert)
	return snapshot.Offsite{
		Folder: s.snapshotFolder(), Under: c.Under(cluster, s.nodeName), Keep: c.Retention, Clock: clock.RealClock{}, Log: s.log.With("bucket", c.Bucket), Report: s.report, Taken: taken,
		Open: func(ctx context.Context) (snapshot.Store, error) {
			b, err := s3.Open(ctx, c)
			if err != nil {
				return nil, err
			}
			return store{b, cluster}, nil
		},
	}
}

// store is a bucket as a place for the snapshots of a cluster.
type store struct {
	bucket  *s3.Bucket
	cluster string
}

// List implements snapshot.Store.
func (s store) List(ctx context.Context, folder string) ([]string, error) {
	all, err := s.bucket.List(ctx, folder)
	var names []string
	for _, o := range all {
		if name, ok := strings.CutPrefix(o.Key, folder+"/"); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names, err
}

// Send implements snapshot.Store.
func (s store) Send(ctx context.Context, key, file string) error {
	return Copy(ctx, s.bucket, key, file, s.cluster)
}

// Remove implements snapshot.Store.
func (s store) Remove(ctx context.Context, key string) error {
	about, err := s.bucket.About(ctx, key)
	if err != nil {
		return err
	}
	if about == nil || about.Cluster != s.cluster {
		return fmt.Errorf("it was not put there by a server of this cluster; remove it by hand, or rename it")
	}
	return s.bucket.Remove(ctx, key)
}

// Tidy implements snapshot.Store.
func (s store) Tidy(ctx context.Context, folder string) error { return s.bucket.Abort(ctx, folder) }
