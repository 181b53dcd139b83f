// Package cli is the command line: one file per command. Commands talk to the
// API server or to the data directory, never to a component.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/cli/kubectl"
)

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitCode is an error that only carries an exit code: what there was to say
// has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Main runs one command and returns its exit code: 0, or 1 with one line on
// errOut that says what was wrong.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(streams{in: in, out: out, err: errOut})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(errOut, "berth: %v\n", err)
	return 1
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "A Kubernetes-compatible cluster in one program, built for stateful apps",
		Long: `Berth runs a Kubernetes-compatible cluster from one program: every pod keeps
its berth, its name, its address and its disk.

  berth server                         a whole cluster on this machine
  berth status --wait                  wait until pods can run
  berth kubectl apply -f web.yaml      the real kubectl, already connected
  berth plan -f web.yaml               what would happen, step by step
  berth why sts/web                    what it waits for, and the next command`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(
		newServer(s), newAgent(s), newToken(s), newStatus(s), newWhy(s), newPlan(s), kubectl.New(), newImage(s), newSnapshot(s), newDrill(s),
		newDown(s), newInstall(s), newUninstall(s), newVersion(s),
	)
	return root
}
