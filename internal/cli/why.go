package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/plan/why"
)

func newWhy(s streams) *cobra.Command {
	var c connection
	var namespace, output string
	var files []string
	cmd := &cobra.Command{
		Use:   "why (KIND/NAME | -f FILE)",
		Short: "Say what an object waits for, since when, and the next command",
		Long: `Say what an object waits for: since when, whether that will ever pass by itself,
and which command is next. It only reads.

Kinds: statefulset (sts), pod, persistentvolumeclaim (pvc), service (svc),
deployment (deploy), replicaset (rs), daemonset (ds), job, cronjob (cj),
horizontalpodautoscaler (hpa), poddisruptionbudget (pdb).

With -f the lines of a file are named that are to be changed: those that the API
server refuses (it is asked, nothing is written), and those that keep what was
made of the file from going on.

The exit code is 0 when nothing is stuck (what passes by itself counts as that),
1 when something is, 2 when the question could not be answered.`,
		Example: "  berth why sts/web\n  berth why pod/web-1 -n shop\n  berth why pvc/www-web-1 -o json\n  berth why -f web.yaml",
		RunE: answer(s, func(cmd *cobra.Command, args []string) (int, error) {
			if output != "" && output != "json" {
				return 0, fmt.Errorf("--output %q: only json is known", output)
			}
			if len(files) > 0 {
				if len(args) > 0 {
					return 0, errors.New("give either an object or -f FILE")
				}
				return c.whyFiles(cmd.Context(), s, files, namespace, output)
			}
			kind, name, err := object(args)
			if err != nil {
				return 0, err
			}
			r, err := c.why(cmd.Context(), kind, name, namespace)
			if err != nil {
				return 0, err
			}
			if output == "json" {
				err = printJSON(s, r)
			} else {
				fmt.Fprint(s.out, r.Text(time.Now()))
			}
			if r.Stuck {
				return 1, err
			}
			return 0, err
		}),
	}
	c.bind(cmd)
	cmd.Flags().StringSliceVarP(&files, "filename", "f", nil, "file, folder, or - for the standard input")
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace (default: the kubeconfig's)")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for machines")
	cmd.SetFlagErrorFunc(badFlag(s))
	return cmd
}

// answer runs a command whose exit code is its answer: 0 or 1, and 2 with one
// line about what was wrong when there is none.
func answer(s streams, run func(*cobra.Command, []string) (int, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		code, err := run(cmd, args)
		switch {
		case err != nil:
			fmt.Fprintf(s.err, "berth: %v\n", err)
			return exitCode(2)
		case code != 0:
			return exitCode(code)
		}
		return nil
	}
}

func badFlag(s streams) func(*cobra.Command, error) error {
	return func(_ *cobra.Command, err error) error {
		fmt.Fprintf(s.err, "berth: %v\n", err)
		return exitCode(2)
	}
}

// object reads KIND/NAME or KIND NAME.
func object(args []string) (kind, name string, err error) {
	switch len(args) {
	case 1:
		kind, name, _ = strings.Cut(args[0], "/")
	case 2:
		kind, name = args[0], args[1]
	}
	if name == "" {
		return "", "", errors.New("name one object, such as sts/web")
	}
	full := why.Kind(kind)
	if full == "" {
		return "", "", fmt.Errorf("%q cannot be asked about; known are %s", kind, strings.Join(slices.Sorted(maps.Keys(why.Kinds)), ", "))
	}
	return full, name, nil
}

func printJSON(s streams, v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
