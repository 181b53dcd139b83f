package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"berth.dev/berth/internal/app"
	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/keyring"
	"berth.dev/berth/internal/snapshot"
)

func newSnapshot(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save, list and restore copies of the datastore",
		Long: `Save, list and restore copies of the datastore: all objects of the cluster, and its
keys, which the server token opens (berth token --server): keep both, and not in the
same place. What lies in volumes is not in it.`,
	}
	cmd.AddCommand(newSnapshotSave(s), newSnapshotRestore(s), newSnapshotList(s))
	return cmd
}

func newSnapshotSave(s streams) *cobra.Command {
	var c connection
	var b bucket
	cmd := &cobra.Command{
		Use:   "save [FILE]",
		Short: "Save a consistent copy of the datastore, while the server runs or not",
		Long: `Save a consistent copy of the datastore into FILE, or into DIR/snapshots. The server may
go on. etcdctl and etcdutl can read the file. It holds all Secrets: only root may read
it. To restore it takes the server token too, which is not in it.

With a bucket, by flag or from the server's --config, it is copied there too.`,
		Example: `  berth snapshot save
  berth snapshot save /mnt/backup/monday.db
  berth snapshot save --config /etc/berth.yaml      # into the server's bucket too`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := b.read(cmd); err != nil {
				return err
			}
			dir, err := c.dir()
			if err != nil {
				return err
			}
			var file string
			if len(args) > 0 {
				file = args[0]
			} else if file, err = snapshot.Folder(dir.Snapshots()).Path(snapshot.Saved, time.Now()); err != nil {
				return err
			}
			var content datastore.Content
			err = snapshot.Write(file, func(f *os.File) error {
				if err := c.snapshot(cmd.Context(), dir, f); err != nil {
					return err
				}
				content, err = datastore.Inspect(f.Name())
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(s.out, "%s: revision %d, %d keys, %s\n", file, content.Revision, content.Keys, humanize.IBytes(uint64(content.Size)))
			fmt.Fprintln(s.err, "To restore it takes the server token too: berth token --server prints it. Keep it elsewhere.")
			if b.Bucket == "" {
				return nil
			}
			to, err := b.copy(cmd.Context(), &c, dir, file)
			if err != nil {
				return fmt.Errorf("%s is saved, and not copied: %w", file, err)
			}
			fmt.Fprintf(s.out, "%s: copied\n", to)
			return nil
		},
	}
	c.bind(cmd)
	b.bind(cmd)
	return cmd
}

// snapshot writes a copy of the datastore: of the server that runs, or from its
// folder when it does not.
func (c *connection) snapshot(ctx context.Context, dir datadir.Dir, w io.Writer) error {
	if c.kubeconfig == "" && app.Holder(dir) == 0 {
		return app.Snapshot(ctx, dir, w)
	}
	return c.download(ctx, snapshot.Path, w)
}

func newSnapshotRestore(s streams) *cobra.Command {
	var c connection
	var b bucket
	var tokenFile string
	cmd := &cobra.Command{
		Use:   "restore FILE|s3://BUCKET/KEY",
		Short: "Make the datastore of a server that has none from a snapshot",
		Long: `Make the datastore of a server that has none from a snapshot; then start the server,
with the flags it had. It is the same cluster, as it was when the snapshot was taken:
objects, names, addresses, claims, certificates, tokens. Containers of pods that are in
the snapshot go on, if they still run; others are made again. Pods that came later are
stopped.

A snapshot has nothing of what was in volumes. Put DIR/volumes back from your own
backup before the start: a local volume whose folder is missing begins empty.

Of several servers restore one; the others join it anew, with empty data directories.

What is in a bucket is named as berth snapshot ls shows it. The flags say which store
it is in, and who may read it; the server's --config does too.`,
		Example: `  berth snapshot restore /mnt/backup/monday.db --token-file server.token && berth server
  mv /var/lib/berth/etcd /var/lib/berth/etcd.before   # going back on the same machine
  berth snapshot restore /var/lib/berth/snapshots/scheduled-20260102T120000Z.db
  berth snapshot restore s3://backups/1f3a9c0d2b4e/db1/scheduled-20260102T120000Z.db \
    --snapshot-s3-endpoint https://minio.example.org:9000 --snapshot-s3-credentials-file ./s3.credentials --token-file server.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := b.readFile(cmd); err != nil {
				return err
			}
			dir, err := c.dir()
			if err != nil {
				return err
			}
			var token keyring.Token
			if tokenFile != "" {
				text, err := os.ReadFile(tokenFile)
				if err != nil {
					return fmt.Errorf("--token-file: %w", err)
				}
				if token, err = keyring.ParseToken(string(text)); err != nil {
					return fmt.Errorf("--token-file: %w", err)
				}
			}
			from, err := b.source(args[0])
			if err != nil {
				return err
			}
			if err := app.Restore(cmd.Context(), dir, from, token); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "%s has the cluster of %s; start it with berth server\n", dir.Path(), args[0])
			return nil
		},
	}
	c.bindDir(cmd)
	b.bind(cmd)
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "file with the server token that opens the snapshot's keys (default: the one in DIR)")
	return cmd
}

func newSnapshotList(s streams) *cobra.Command {
	var c connection
	var b bucket
	var folder string
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List snapshots, the newest last, and check that they are whole",
		Long: `List snapshots, the newest last. Files are read through, and checked. What is in a
bucket is named s3://..., as berth snapshot restore takes it; its figures are those that
were put there with it, and it is checked when it is restored.`,
		Example: `  berth snapshot ls
  berth snapshot ls --snapshot-dir /mnt/backup
  berth snapshot ls --config /etc/berth.yaml        # with what is in the server's bucket`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.read(cmd); err != nil {
				return err
			}
			if folder == "" {
				dir, err := c.dir()
				if err != nil {
					return err
				}
				folder = dir.Snapshots()
			}
			all, err := snapshot.Folder(folder).List()
			if err != nil {
				return err
			}
			rows, damaged := inFolder(folder, all)
			places := folder
			if b.Bucket != "" {
				there, err := b.list(cmd.Context())
				rows, damaged = append(rows, there...), errors.Join(damaged, err)
				places += " and " + b.URL(b.Under())
			}
			if len(rows) == 0 && damaged == nil {
				fmt.Fprintf(s.err, "No snapshots in %s.\n", places)
				return nil
			}
			return errors.Join(printSnapshots(s.out, rows, time.Now()), damaged)
		},
	}
	c.bindDir(cmd)
	b.bind(cmd)
	cmd.Flags().StringVar(&folder, "snapshot-dir", "", "folder to look into (default: snapshots in the data directory)")
	return cmd
}

// snapshotRow is a snapshot as it is listed.
type snapshotRow struct {
	snapshot.File
	revision, keys string
}

func inFolder(folder string, all []snapshot.File) (rows []snapshotRow, err error) {
	var damaged []error
	for _, f := range all {
		row := snapshotRow{File: f}
		if content, err := datastore.Inspect(filepath.Join(folder, f.Name)); err != nil {
			damaged = append(damaged, err)
			row.revision = "<damaged>"
		} else {
			row.revision, row.keys = fmt.Sprint(content.Revision), fmt.Sprint(content.Keys)
		}
		rows = append(rows, row)
	}
	return rows, errors.Join(damaged...)
}

func printSnapshots(to io.Writer, all []snapshotRow, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSIZE\tREVISION\tKEYS\tAGE")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Name, humanize.IBytes(uint64(f.Size)), f.revision, f.keys, duration.HumanDuration(now.Sub(f.Time)))
	}
	return w.Flush()
}
