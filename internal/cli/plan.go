package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/plan/preview"
)

// planOptions are what `berth plan` is asked.
type planOptions struct {
	files     []string
	images    []string
	replicas  int32
	partition int32
	namespace string
	output    string
	// given tells a number that was given from its default.
	given func(flag string) bool
}

func newPlan(s streams) *cobra.Command {
	var c connection
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan (-f FILE | sts/NAME --set-image CONTAINER=IMAGE)",
		Short: "Say what a change would do, step by step, without touching anything",
		Long: `Say what a change would do, step by step, without touching anything.

With -f the change is what kubectl apply would send; the API server checks it
(dry run: admission, quota, webhooks) and fills in its defaults. For a StatefulSet
the controller's own planner is then driven forward, with new pods taken to
become ready: which pods are replaced in which order, how many are down at a
time, whether that falls below a PodDisruptionBudget, which claims grow or go.

The exit code is 0 when there is nothing to do, 1 when there are changes, 2 when
the change is refused or could not be looked at.`,
		Example: "  berth plan -f web.yaml\n" +
			"  cat web.yaml | berth plan -f -\n" +
			"  berth plan sts/web --set-image nginx=nginx:1.29\n" +
			"  berth plan sts/web --replicas 5 --set-partition 2 -o json",
		RunE: answer(s, func(cmd *cobra.Command, args []string) (int, error) {
			o.given = cmd.Flags().Changed
			results, err := c.plan(cmd.Context(), s, o, args)
			if err != nil {
				return 0, err
			}
			if err := printPlan(s, o.output, results); err != nil {
				return 0, err
			}
			switch {
			case slices.ContainsFunc(results, func(r preview.Result) bool { return r.Change == preview.Refused }):
				return 2, nil
			case slices.ContainsFunc(results, func(r preview.Result) bool { return !r.Idle() }):
				return 1, nil
			}
			return 0, nil
		}),
	}
	c.bind(cmd)
	flags := cmd.Flags()
	flags.StringSliceVarP(&o.files, "filename", "f", nil, "file, folder, or - for the standard input")
	flags.StringArrayVar(&o.images, "set-image", nil, "another image: CONTAINER=IMAGE")
	flags.Int32Var(&o.replicas, "replicas", 0, "another number of pods")
	flags.Int32Var(&o.partition, "set-partition", 0, "another partition of the rolling update")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace (default: the kubeconfig's)")
	flags.StringVarP(&o.output, "output", "o", "", "json for machines")
	cmd.SetFlagErrorFunc(badFlag(s))
	return cmd
}

func (c *connection) plan(ctx context.Context, s streams, o planOptions, args []string) ([]preview.Result, error) {
	edits := len(o.images) > 0 || o.given("replicas") || o.given("set-partition")
	switch {
	case o.output != "" && o.output != "json":
		return nil, fmt.Errorf("--output %q: only json is known", o.output)
	case len(o.files) > 0 && (len(args) > 0 || edits):
		return nil, errors.New("give either -f FILE, or a StatefulSet and what is to change of it")
	case len(o.files) == 0 && len(args) == 0:
		return nil, errors.New("say what is to change: -f FILE, or sts/NAME with --set-image, --replicas or --set-partition")
	case len(args) > 0 && !edits:
		return nil, errors.New("say what is to change: --set-image CONTAINER=IMAGE, --replicas N or --set-partition N")
	}
	t, err := c.rehearsal(ctx, o.namespace)
	if err != nil {
		return nil, err
	}
	if len(args) > 0 {
		kind, name, err := object(args)
		if err != nil {
			return nil, err
		}
		if kind != "statefulset" {
			return nil, fmt.Errorf("%s/%s: only a StatefulSet can be planned by name; use -f FILE", kind, name)
		}
		r, err := t.edited(name, o)
		return []preview.Result{r}, err
	}
	objects, err := readObjects(s.in, o.files)
	if err != nil {
		return nil, err
	}
	var results []preview.Result
	for _, obj := range objects {
		r, err := t.applied(obj)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

// planOutput is what `berth plan -o json` prints.
type planOutput struct {
	// Changes: something would happen.
	Changes bool             `json:"changes"`
	Objects []preview.Result `json:"objects"`
}

func printPlan(s streams, output string, results []preview.Result) error {
	idle := 0
	for _, r := range results {
		if r.Idle() {
			idle++
		}
	}
	if output == "json" {
		return printJSON(s, planOutput{Changes: idle < len(results), Objects: results})
	}
	var parts []string
	for _, r := range results {
		parts = append(parts, r.Text())
	}
	fmt.Fprint(s.out, strings.Join(parts, "\n"))
	if idle == len(results) {
		fmt.Fprintln(s.out, "nothing to do")
	}
	return nil
}
