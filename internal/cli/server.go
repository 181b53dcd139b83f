package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"berth.dev/berth/internal/app"
)

func newServer(s streams) *cobra.Command {
	cfg := app.Defaults()
	var file string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a whole cluster on this machine, in the foreground",
		Long: `Run a whole cluster on this machine, in the foreground: datastore, API server,
controllers, scheduler, node agent, pod network, service proxy and DNS.

Everything hangs off the data directory. SIGTERM stops the server within 5 s and
leaves containers running; the next start takes them over. To stop them too, use
berth down.

With --server it joins the cluster of another server instead: both, and a third,
share one datastore, and the cluster survives the loss of one of three.`,
		Example: `  berth server
  berth server --data-dir /srv/berth --https-port 7443 --node-name db1
  berth server --server https://192.0.2.10:6443 --token-file ./server.token   # one more server
  berth server --config /etc/berth.yaml         # YAML, the flags' names as keys`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			seen := cmd.Flags().Changed("token")
			if file != "" {
				if err := app.ReadFile(file, cmd.Flags()); err != nil {
					return err
				}
			}
			log := newLogger(cfg.LogLevel, s.err)
			if seen {
				log.Warn("everybody who lists this machine's processes sees --token; use --token-file")
			}
			began := time.Now()
			return app.Run(cmd.Context(), cfg, log, func() {
				fmt.Fprintf(s.out, "berth is ready after %s: %s\n", time.Since(began).Round(time.Millisecond), cfg.DataDir)
				notifySystemd("READY=1")
			})
		},
	}
	cfg.BindFlags(cmd.Flags())
	cmd.AddCommand(newServerList(s), newServerRemove(s), newServerAlone(s))
	cmd.Flags().StringVar(&file, "config", "", "YAML file with these flags as keys; the command line wins")
	return cmd
}

// newLogger makes the one logger, and sends the Kubernetes libraries' there.
func newLogger(level string, to io.Writer) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelWarn // refused by validation with a better message
	}
	handler := slog.NewTextHandler(to, &slog.HandlerOptions{Level: l})
	log := slog.New(handler)
	klog.SetSlogLogger(slog.New(hushed{handler}))
	ctrllog.SetLogger(logr.FromSlogHandler(handler))
	slog.SetDefault(log)
	return log
}

// hushed lowers what the Kubernetes libraries report as an error and is none:
// every exec ends with a closed connection.
type hushed struct{ slog.Handler }

func (h hushed) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "Error on socket receive" {
		if !h.Enabled(ctx, slog.LevelDebug) {
			return nil
		}
		r.Level = slog.LevelDebug
	}
	return h.Handler.Handle(ctx, r)
}

func (h hushed) WithAttrs(a []slog.Attr) slog.Handler { return hushed{h.Handler.WithAttrs(a)} }
func (h hushed) WithGroup(name string) slog.Handler   { return hushed{h.Handler.WithGroup(name)} }

// notifySystemd tells the service manager that we are up, if there is one
// (sd_notify(3)).
func notifySystemd(state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
