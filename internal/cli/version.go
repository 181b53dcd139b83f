package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

func newVersion(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of Berth and of the Kubernetes API it serves",
		Example: "  berth version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version.Get()
			fmt.Fprintf(s.out, "berth %s (commit %s)\nKubernetes API %s\n%s\n",
				v.GitVersion, v.GitCommit, moduleVersion("k8s.io/api"), runtime.Version())
			return nil
		},
	}
}

// moduleVersion is the version that a module was built in at.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
