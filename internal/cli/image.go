package cli

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/containerd/log"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"berth.dev/berth/internal/image"
	"berth.dev/berth/internal/node/runtime"
)

func newImage(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Import, list, pull and remove this node's images"}
	cmd.AddCommand(newImageImport(s), newImageList(s), newImagePull(s), newImageRemove(s))
	return cmd
}

// withStore runs f on the image store of the instance.
func withStore(c *connection, f func(*image.Store) error) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir.RuntimeSocket()); err != nil {
		return fmt.Errorf("no container runtime in %s: %w; start it with `berth server --data-dir %s`, or name another with --data-dir",
			dir.Path(), err, dir.Path())
	}
	// What the libraries have to say is in the error.
	if err := log.SetLevel("error"); err != nil {
		return err
	}
	store, err := image.Open(dir.RuntimeSocket())
	if err != nil {
		return err
	}
	defer store.Close()
	return f(store)
}

func newImageImport(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:     "import FILE...",
		Short:   "Import image archives (OCI or docker, plain or compressed)",
		Example: "  berth image import nginx.tar",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return withStore(&c, func(store *image.Store) error {
				names, err := store.Import(cmd.Context(), files...)
				for _, name := range names {
					fmt.Fprintln(s.out, name)
				}
				return err
			})
		},
	}
	c.bindDir(cmd)
	return cmd
}

func newImageList(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images on this node",
		Example: "  berth image ls",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(&c, func(store *image.Store) error { return listImages(cmd.Context(), s, store) })
		},
	}
	c.bindDir(cmd)
	return cmd
}

func listImages(ctx context.Context, s streams, store *image.Store) error {
	all, err := store.List(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tDIGEST\tSIZE")
	for _, im := range all {
		fmt.Fprintf(w, "%s\t%.19s\t%s\n", im.Name, im.Digest, humanize.IBytes(uint64(max(im.Size, 0))))
	}
	return w.Flush()
}

func newImagePull(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:     "pull NAME...",
		Short:   "Pull images from their registries",
		Example: "  berth image pull nginx:1.27",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			dir, err := c.dir()
			if err != nil {
				return err
			}
			certs := runtime.Config{Dir: dir}.CertsDir()
			return withStore(&c, func(store *image.Store) error {
				for _, name := range names {
					im, err := store.Pull(cmd.Context(), name, certs)
					if err != nil {
						return fmt.Errorf("pull %s: %w", name, err)
					}
					fmt.Fprintf(s.out, "%s\t%s\n", im.Name, im.Digest)
				}
				return nil
			})
		},
	}
	c.bindDir(cmd)
	return cmd
}

func newImageRemove(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		Short:   "Remove images from this node",
		Example: "  berth image rm nginx:1.27",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return withStore(&c, func(store *image.Store) error {
				if err := store.Remove(cmd.Context(), names...); err != nil {
					return err
				}
				for _, name := range names {
					fmt.Fprintf(s.out, "removed %s\n", name)
				}
				return nil
			})
		},
	}
	c.bindDir(cmd)
	return cmd
}
