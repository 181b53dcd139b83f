package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/keyring"
	"berth.dev/berth/internal/pki"
)

func newToken(s streams) *cobra.Command {
	var c connection
	var server bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token that machines join this cluster with",
		Long: `Print the token that machines join this cluster with (berth agent --token). It says
whom they are to believe and lets them ask for a node's certificate; keep it as you
keep a password. To make another, delete DIR/pki/join.token and start the server again.

With --server it is the token of the cluster's servers, which opens all its keys:
whoever has it can do anything. Keep it apart from the backups of the datastore.`,
		Example: `  berth token > nodes.token
  (umask 077; berth token --server > server.token)   # for berth server --token-file`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := c.dir()
			if err != nil {
				return err
			}
			secret, ca, err := pki.ReadJoin(dir.PKI())
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("no server has run in %s; name its folder with --data-dir", dir.Path())
			}
			if err != nil {
				return err
			}
			if !server {
				fmt.Fprintln(s.out, join.NewToken(secret, ca))
				return nil
			}
			if secret, err = keyring.ReadToken(dir.ServerToken()); err != nil {
				return err
			}
			if secret == "" {
				return fmt.Errorf("there is no %s: start the server once", dir.ServerToken())
			}
			fmt.Fprintln(s.out, keyring.NewToken(secret, ca))
			return nil
		},
	}
	c.bindDir(cmd)
	cmd.Flags().BoolVar(&server, "server", false, "the token for more servers (berth server --token-file) instead")
	return cmd
}
