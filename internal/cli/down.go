package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/app"
)

func newDown(s streams) *cobra.Command {
	var c connection
	var bundle string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the server and all its pods; keep the data directory",
		Long: `Stop the server, its pods (each with its grace period) and its container
runtime, and remove its mounts, control groups, addresses, routes and rules.
The data directory stays: berth server brings everything back.`,
		Example: "  berth down\n  berth down --data-dir /srv/berth",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := c.dir()
			if err != nil {
				return err
			}
			say := func(format string, a ...any) { fmt.Fprintf(s.out, format+"\n", a...) }
			if err := app.Down(cmd.Context(), dir, bundle, say); err != nil {
				return err
			}
			say("down; %s is kept", dir.Path())
			return nil
		},
	}
	c.bindDir(cmd)
	cmd.Flags().StringVar(&bundle, "bundle-dir", "", "folder with containerd, runc and the CNI plugins (default: bundle/ beside the program)")
	return cmd
}
