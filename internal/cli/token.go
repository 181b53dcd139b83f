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
	var server, rotate bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token that machines join this cluster with",
		Long: `Print the token that machines join this cluster with (berth agent --token). It says
whom they are to believe and lets them ask for a node's certificate; keep it as you
keep a password. It lasts: to make another, delete DIR/pki/join.token and start the
server again. One that ends by itself is made by berth token create.

With --server it is the token of the cluster's servers, which opens all its keys:
whoever has it can do anything. Keep it apart from the backups of the datastore. With
--rotate too it is a new one, which counts when this server is started again; all
other servers must then be given it at their next start.`,
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
				if rotate {
					return errors.New("--rotate: it is for --server; for another token of nodes delete DIR/pki/join.token and start the server again")
				}
				fmt.Fprintln(s.out, join.NewToken(secret, ca))
				return nil
			}
			if secret, err = keyring.ReadToken(dir.ServerToken()); err != nil {
				return err
			}
			if secret == "" {
				return fmt.Errorf("there is no %s: start the server once", dir.ServerToken())
			}
			if rotate {
				if secret, err = keyring.Rotate(dir.ServerToken()); err != nil {
					return err
				}
				fmt.Fprintln(s.err, "This token counts from the next start of this server on. Give it to every other server with --token-file when that is started again.")
			}
			fmt.Fprintln(s.out, keyring.NewToken(secret, ca))
			return nil
		},
	}
	cmd.AddCommand(newTokenCreate(s), newTokenList(s), newTokenDelete(s))
	c.bindDir(cmd)
	cmd.Flags().BoolVar(&server, "server", false, "the token for more servers (berth server --token-file) instead")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "with --server: make a new one")
	return cmd
}
