// Package kubectl is the real kubectl compiled in: the command tree of
// k8s.io/kubectl, pointed at this instance's kubeconfig unless told otherwise.
package kubectl

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the sign-in methods a kubeconfig may name
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	"k8s.io/kubectl/pkg/cmd/util"

	"berth.dev/berth/internal/base/datadir"
)

// New returns `berth kubectl`. Its arguments go to kubectl untouched, but for
// --data-dir, which picks the instance: --kubeconfig wins, then --data-dir,
// then the default data directory.
func New() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [--data-dir DIR] COMMAND ...",
		Short: "Run kubectl against this cluster",
		Long: "Run the real kubectl, built in, against this cluster.\n\n" +
			"The kubeconfig is the one named by --kubeconfig, else DIR/kubeconfig of --data-dir DIR,\n" +
			"else " + datadir.Default + "/kubeconfig. Plugins (kubectl-NAME on the PATH) get it as KUBECONFIG.",
		Example: "  berth kubectl get pods -A\n" +
			"  berth kubectl --data-dir /srv/berth apply -f web.yaml\n" +
			"  berth kubectl exec -it web-0 -- sh",
		DisableFlagParsing: true,
		SilenceUsage:       true,
		SilenceErrors:      true,
		RunE: func(_ *cobra.Command, args []string) error {
			chosen, err := choose(args)
			if err != nil {
				return err
			}
			if chosen.kubeconfig != "" {
				// The environment, not a flag: `kubectl config` and plugins read it too.
				if err := os.Setenv("KUBECONFIG", chosen.kubeconfig); err != nil {
					return err
				}
			}
			Run(chosen.args)
			return nil
		},
	}
}

// Run is kubectl with these arguments. It exits the process on an error, with
// kubectl's message and exit code.
func Run(args []string) {
	c := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, args...),
		IOStreams:     genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
	})
	c.SetArgs(args)
	if err := cli.RunNoErrOutput(c); err != nil {
		util.CheckErr(err)
	}
}

// choice is what the arguments say about the cluster to talk to.
type choice struct {
	args       []string // kubectl's own
	kubeconfig string   // empty when --kubeconfig says it
}

// choose takes --data-dir out of the arguments, up to a "--", behind which
// everything belongs to the command to run.
func choose(args []string) (choice, error) {
	var c choice
	dir, named := datadir.Default, false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			c.args = append(c.args, args[i:]...)
			break
		}
		if value, ok := strings.CutPrefix(arg, "--data-dir="); ok {
			dir = value
			continue
		}
		if arg == "--data-dir" {
			if i+1 == len(args) {
				return c, fmt.Errorf("flag needs an argument: --data-dir")
			}
			i++
			dir = args[i]
			continue
		}
		if arg == "--kubeconfig" || strings.HasPrefix(arg, "--kubeconfig=") {
			named = true
		}
		c.args = append(c.args, arg)
	}
	if named {
		return c, nil
	}
	if dir == "" {
		return c, fmt.Errorf("--data-dir must not be empty")
	}
	d, err := datadir.New(dir)
	if err != nil {
		return c, err
	}
	c.kubeconfig = d.Kubeconfig()
	return c, nil
}
