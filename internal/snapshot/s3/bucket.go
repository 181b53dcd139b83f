package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// What is kept with each object, beside its content. An object without its sum
// was not put there by Berth.
const (
	sumKey      = "Berth-Sha256"
	clusterKey  = "Berth-Cluster"
	revisionKey = "Berth-Revision"
	countKey    = "Berth-Keys"
)

// requests is how often each request is tried.
const requests = 3

// About is what an object says of the snapshot in it.
type About struct {
	Cluster  string // whose snapshot, as its server says
	Revision int64
	Keys     int
	sum      string // SHA-256 of all of it, in hex
}

// Object is something in the bucket.
type Object struct {
	Key  string
	Size int64
	Time time.Time // it was put there
}

// Bucket is a bucket that is in use.
type Bucket struct {
	c      Config
	client *minio.Client
}

// Open makes the bucket ready for use while ctx lasts, without asking for it yet.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	at, err := c.endpoint()
	if err != nil {
		return nil, fmt.Errorf("--snapshot-s3-endpoint: %w", err)
	}
	keys, err := c.credentials()
	if err != nil {
		return nil, err
	}
	secure := at.Scheme == "https"
	way, err := c.transport(ctx, secure)
	if err != nil {
		return nil, err
	}
	lookup := map[string]minio.BucketLookupType{"auto": minio.BucketLookupAuto, "dns": minio.BucketLookupDNS, "path": minio.BucketLookupPath}[c.Lookup]
	client, err := minio.New(at.Host, &minio.Options{
		Creds: keys, Secure: secure, Transport: way, Region: c.Region, BucketLookup: lookup, MaxRetries: requests,
	})
	if err != nil {
		return nil, fmt.Errorf("--snapshot-s3-endpoint: %w", err)
	}
	return &Bucket{c: c, client: client}, nil
}

// do does one thing within the time that it may take.
func (b *Bucket) do(ctx context.Context, act func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, b.c.Timeout)
	defer cancel()
	err := act(limited)
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return b.c.explain(err, limited.Err() != nil)
}

// List are the objects below a key, a folder.
func (b *Bucket) List(ctx context.Context, under string) ([]Object, error) {
	var all []Object
	err := b.do(ctx, func(ctx context.Context) error {
		for o := range b.client.ListObjectsIter(ctx, b.c.Bucket, minio.ListObjectsOptions{Prefix: inside(under), Recursive: true}) {
			if o.Err != nil {
				return o.Err
			}
			all = append(all, Object{Key: o.Key, Size: o.Size, Time: o.LastModified})
		}
		return nil
	})
	return all, err
}

func inside(folder string) string {
	if folder == "" {
		return ""
	}
	return strings.TrimSuffix(folder, "/") + "/"
}

// About reads what an object says of itself; nil when it was not put there by Berth.
func (b *Bucket) About(ctx context.Context, key string) (about *About, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		got, err := b.client.StatObject(ctx, b.c.Bucket, key, minio.StatObjectOptions{})
		if err == nil {
			about = read(got.UserMetadata)
		}
		return err
	})
	return about, err
}

func read(kept map[string]string) *About {
	a := &About{Cluster: kept[clusterKey], sum: kept[sumKey]}
	if a.sum == "" {
		return nil
	}
	a.Revision, _ = strconv.ParseInt(kept[revisionKey], 10, 64) // shown only
	a.Keys, _ = strconv.Atoi(kept[countKey])
	return a
}

// Put copies a file into the bucket. There is no object unless it is whole: the
// store checks each part, and shows none of them before the last has come.
func (b *Bucket) Put(ctx context.Context, key, file string, about About) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return b.do(ctx, func(ctx context.Context) error {
		_, err := b.client.PutObject(ctx, b.c.Bucket, key, f, size, minio.PutObjectOptions{
			SendContentMd5: true, NumThreads: 2, UserMetadata: map[string]string{
				sumKey: hex.EncodeToString(sum.Sum(nil)), clusterKey: about.Cluster,
				revisionKey: strconv.FormatInt(about.Revision, 10), countKey: strconv.Itoa(about.Keys),
			},
		})
		return err
	})
}

// Get writes an object's content to a file, and fails when it is not what was
// put there.
func (b *Bucket) Get(ctx context.Context, key string, to io.Writer) error {
	return b.do(ctx, func(ctx context.Context) error {
		from, info, _, err := minio.Core{Client: b.client}.GetObject(ctx, b.c.Bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer from.Close()
		sum := sha256.New()
		got, err := io.Copy(io.MultiWriter(to, sum), from)
		if err != nil {
			return err
		}
		about := read(info.UserMetadata)
		switch {
		case got != info.Size:
			return errOf("%s came in part only, %d of %d bytes; try again", b.c.URL(key), got, info.Size)
		case about != nil && about.sum != hex.EncodeToString(sum.Sum(nil)):
			return errOf("%s is damaged: its SHA-256 is not what it was when it was put there; take another", b.c.URL(key))
		}
		return nil
	})
}

// Remove removes an object.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	return b.do(ctx, func(ctx context.Context) error {
		return b.client.RemoveObject(ctx, b.c.Bucket, key, minio.RemoveObjectOptions{})
	})
}

// Abort makes the store forget the parts of uploads below a folder that were never finished.
func (b *Bucket) Abort(ctx context.Context, under string) error {
	return b.do(ctx, func(ctx context.Context) error {
		for u := range b.client.ListIncompleteUploads(ctx, b.c.Bucket, inside(under), true) {
			if u.Err != nil {
				return u.Err
			}
			if err := b.client.RemoveIncompleteUpload(ctx, b.c.Bucket, u.Key); err != nil {
				return err
			}
		}
		return nil
	})
}
