package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/app"
)

func newAgent(s streams) *cobra.Command {
	cfg := app.AgentConfig{Config: app.Defaults()}
	var file string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Make this machine a node of a cluster that runs elsewhere, in the foreground",
		Long: `Make this machine a node of a cluster that runs elsewhere, in the foreground: node
agent, pod network, service proxy and DNS.

The token, printed by berth token on a server, names the cluster's authority, so
that the machine joins that cluster and no other. It is used once: the node then
has a certificate of its own, which it renews while it runs. SIGTERM leaves
containers running; the next start takes them over.`,
		Example: `  berth agent --server https://192.0.2.10:6443 --token-file /root/token
  berth agent                                    # has joined already`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				if err := app.ReadFile(file, cmd.Flags()); err != nil {
					return err
				}
			}
			log := newLogger(cfg.LogLevel, s.err)
			began := time.Now()
			return app.RunAgent(cmd.Context(), cfg, log, func() {
				fmt.Fprintf(s.out, "the node is ready after %s: %s\n", time.Since(began).Round(time.Millisecond), cfg.DataDir)
				notifySystemd("READY=1")
			})
		},
	}
	cfg.BindFlags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "YAML file with these flags as keys; the command line wins")
	return cmd
}
