package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"berth.dev/berth/internal/app"
	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/snapshot"
	"berth.dev/berth/internal/snapshot/s3"
)

// bucket is the bucket that a command on snapshots was told of.
type bucket struct {
	s3.Config
	file string
}

func (b *bucket) bind(cmd *cobra.Command) {
	b.Config = s3.Defaults()
	b.BindFlags(cmd.Flags())
	cmd.Flags().StringVar(&b.file, "config", "", "the server's YAML file, for the flags of this command that it sets")
}

// read takes over what the server's file says, and checks all of it.
func (b *bucket) read(cmd *cobra.Command) error {
	return errors.Join(b.readFile(cmd), b.wrong())
}

// readFile takes over what the server's file says of this command's flags.
func (b *bucket) readFile(cmd *cobra.Command) error {
	if b.file == "" {
		return nil
	}
	cfg, f := app.Defaults(), pflag.NewFlagSet("", pflag.ContinueOnError)
	cfg.BindFlags(f)
	if err := app.ReadFile(b.file, f); err != nil {
		return err
	}
	var all []error
	for _, name := range taken {
		from, to := f.Lookup(name), cmd.Flags().Lookup(name)
		if from.Changed && to != nil && !to.Changed {
			all = append(all, to.Value.Set(from.Value.String()))
		}
	}
	return errors.Join(all...)
}

// taken are the server's flags that commands on snapshots take from its file.
var taken = func() []string {
	names := []string{"data-dir", "snapshot-dir"}
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&s3.Config{}).BindFlags(f)
	f.VisitAll(func(one *pflag.Flag) { names = append(names, one.Name) })
	return names
}()

func (b *bucket) wrong() error {
	var all []error
	b.Check(func(flag, format string, a ...any) {
		all = append(all, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, a...)))
	})
	return errors.Join(all...)
}

// copy puts a snapshot that was saved into the bucket, and says where.
func (b *bucket) copy(ctx context.Context, c *connection, dir datadir.Dir, file string) (string, error) {
	authority, err := c.authority(dir)
	if err != nil {
		return "", err
	}
	to, err := s3.Open(ctx, b.Config)
	if err != nil {
		return "", err
	}
	cluster := app.ClusterFolder(authority)
	key := b.Under(cluster, snapshot.Name(snapshot.Saved, time.Now()))
	switch _, err := to.About(ctx, key); {
	case err == nil:
		return "", fmt.Errorf("%s is there already; try again", b.URL(key))
	case !errors.Is(err, s3.ErrNotFound):
		return "", err
	}
	return b.URL(key), app.Copy(ctx, to, key, file, cluster)
}

// authority is that of the cluster whose snapshot was saved.
func (c *connection) authority(dir datadir.Dir) (*x509.Certificate, error) {
	file, text := filepath.Join(dir.PKI(), "ca.crt"), []byte(nil)
	if c.kubeconfig != "" {
		config, err := c.config()
		if err != nil {
			return nil, err
		}
		file, text = config.CAFile, config.CAData
	}
	if len(text) == 0 {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("the cluster's authority, by which its folder in the bucket is named: %w", err)
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the kubeconfig names no authority of the cluster, by which its folder in the bucket is named; use one that berth server has written")
	}
	return x509.ParseCertificate(block.Bytes)
}

// source is what is to be restored: a file, or an object of a bucket.
func (b *bucket) source(name string) (app.Source, error) {
	if !s3.IsURL(name) {
		return app.Source{Name: name}, nil
	}
	at, key, err := b.At(name)
	if err != nil {
		return app.Source{}, err
	}
	if err := (&bucket{Config: at}).wrong(); err != nil {
		return app.Source{}, err
	}
	return app.Source{Name: name, Fetch: func(ctx context.Context, w io.Writer) error {
		from, err := s3.Open(ctx, at)
		if err != nil {
			return err
		}
		return from.Get(ctx, key, w)
	}}, nil
}

// askedAtOnce is how many objects are asked at once what they are.
const askedAtOnce = 8

// list are the snapshots in the bucket's folder, those of all clusters and servers.
func (b *bucket) list(ctx context.Context) ([]snapshotRow, error) {
	from, err := s3.Open(ctx, b.Config)
	if err != nil {
		return nil, err
	}
	objects, err := from.List(ctx, b.Under())
	if err != nil {
		return nil, err
	}
	var rows []snapshotRow
	var keys []string
	for _, o := range objects {
		if f, ok := snapshot.Parsed(path.Base(o.Key)); ok {
			f.Name, f.Size = b.URL(o.Key), o.Size
			rows, keys = append(rows, snapshotRow{File: f, revision: "<unknown>"}), append(keys, o.Key)
		}
	}
	ask, ctx := errgroup.WithContext(ctx)
	ask.SetLimit(askedAtOnce)
	for i := range rows {
		ask.Go(func() error {
			about, err := from.About(ctx, keys[i])
			if errors.Is(err, s3.ErrNotFound) { // removed meanwhile
				return nil
			}
			if about != nil {
				rows[i].revision, rows[i].keys = fmt.Sprint(about.Revision), fmt.Sprint(about.Keys)
			}
			return err
		})
	}
	err = ask.Wait()
	slices.SortStableFunc(rows, func(x, y snapshotRow) int { return x.Time.Compare(y.Time) })
	return rows, err
}
