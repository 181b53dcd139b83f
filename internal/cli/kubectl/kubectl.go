// Package kubectl is the real kubectl compiled in: the command tree of
// k8s.io/kubectl, pointed at this instance's kubeconfig unless told otherwise.
package kubectl

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
			return run(chosen)
		},
	}
}

// run is kubectl. It exits the process on an error, with kubectl's message and
// exit code; its own error only says that there is no cluster to talk to.
func run(c choice) error {
	// A plugin takes over the process here.
	root := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, c.args...),
		IOStreams:     genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
	})
	if _, err := os.Stat(c.kubeconfig); c.kubeconfig != "" && os.IsNotExist(err) && needsCluster(c.args) {
		return fmt.Errorf("no cluster in %s: %s does not exist; start one with `berth server`, or name another with --data-dir or --kubeconfig",
			filepath.Dir(c.kubeconfig), c.kubeconfig)
	}
	root.SetArgs(append([]string{}, c.args...)) // never nil: that would mean os.Args
	if err := cli.RunNoErrOutput(root); err != nil {
		util.CheckErr(err)
	}
	return nil
}

// needsCluster tells whether kubectl will want to talk to a server that only
// the kubeconfig can name.
func needsCluster(args []string) bool {
	command := ""
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return command != ""
		case slices.Contains([]string{"-h", "--help", "--client", "--local", "-s", "--server", "--dry-run"}, name):
			return false
		case command == "" && !strings.HasPrefix(arg, "-"):
			command = arg
		}
	}
	alone := []string{"", "help", "completion", "config", "kuberc", "kustomize", "options", "plugin", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}
	return !slices.Contains(alone, command)
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
