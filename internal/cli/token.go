package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/pki"
)

func newToken(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token that machines join this cluster with",
		Long: `Print the token that machines join this cluster with (berth agent --token). It says
whom they are to believe and lets them ask for a node's certificate; keep it as you
keep a password. To make another, delete DIR/pki/join.token and start the server again.`,
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
			fmt.Fprintln(s.out, join.NewToken(secret, ca))
			return nil
		},
	}
	c.bindDir(cmd)
	return cmd
}
