package cli

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/drill"
	plan "berth.dev/berth/internal/plan/drill"
)

func newDrill(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Break something on purpose and see how a StatefulSet mends",
		Long: `Break something on purpose and see how a StatefulSet mends. Do it on a copy of your
cluster first: a drill is real, and what your application does not survive is lost.`,
	}
	cmd.AddCommand(newDrillList(s), newDrillRun(s))
	return cmd
}

func newDrillList(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the drills and what each does",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DRILL\tWHERE\tWHAT")
			for _, k := range plan.All() {
				where := "anywhere"
				if k.Here {
					where = "this machine"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", k.Name, where, k.Does)
			}
			return w.Flush()
		},
	}
}

func newDrillRun(s streams) *cobra.Command {
	var c connection
	var d drill.Drill
	var yes bool
	var output string
	cmd := &cobra.Command{
		Use:   "run DRILL sts/NAME --yes",
		Short: "Do one drill, watch the set until it is whole again, and report",
		Long: `Do one drill, watch the set until it is whole again, and report: how long that took,
how long the set was not whole and the API did not answer, which pods were replaced and
containers restarted, and whether names, addresses and claims are as before.

Without --yes it only says what it would do. It begins only when all pods of the set are
Ready and at its template. Nothing but the set is touched, except by the drill's nature:
berth, containerd and machine are shared by all pods of a machine. Those, and container
and pod, kill processes of the machine that the command is run on, as root. Berth is
started again by what started it: systemd, if it was installed by berth install.

How your application takes it is for your application's client to say: let one write and
read meanwhile.

The exit code is 0 when the set is whole again and all is as before, 1 when not, 2 when
the drill did not begin or could not be watched.`,
		Example: "  berth drill ls\n" +
			"  berth drill run pod sts/web -n shop              # says what it would do\n" +
			"  berth drill run pod sts/web -n shop --yes\n" +
			"  berth drill run image sts/web --image nginx:1.29 --yes",
		RunE: answer(s, func(cmd *cobra.Command, args []string) (int, error) {
			if output != "" && output != "json" {
				return 0, fmt.Errorf("--output %q: only json is known", output)
			}
			if err := c.drill(&d, args, !cmd.Flags().Changed("seed")); err != nil {
				return 0, err
			}
			d.Say = func(format string, a ...any) { fmt.Fprintf(s.err, format+"\n", a...) }
			run, err := d.Prepare(cmd.Context())
			if err != nil {
				return 0, err
			}
			fmt.Fprint(s.err, run.Plan())
			if !yes {
				return 0, errors.New("nothing is done without --yes")
			}
			report, err := run.Do(cmd.Context())
			if err != nil {
				return 0, err
			}
			if output == "json" {
				err = printJSON(s, report)
			} else {
				fmt.Fprint(s.out, report.Text())
			}
			if !report.Good() {
				return 1, err
			}
			return 0, err
		}),
	}
	c.bind(cmd)
	f := cmd.Flags()
	f.StringVarP(&d.Namespace, "namespace", "n", "", "namespace (default: the kubeconfig's)")
	f.StringVar(&d.Pod, "pod", "", "pod to pick (default: one at random)")
	f.StringVar(&d.Container, "container", "", "container to kill, or whose image to change (default: the first)")
	f.StringVar(&d.Image, "image", "", "image that drill image rolls to")
	f.DurationVar(&d.Timeout, "timeout", 10*time.Minute, "how long the set may take to be whole again")
	f.Uint64Var(&d.Seed, "seed", 0, "choose pods and order by this number (default: another each time)")
	f.BoolVar(&yes, "yes", false, "do it")
	f.StringVarP(&output, "output", "o", "", "json for machines")
	cmd.SetFlagErrorFunc(badFlag(s))
	return cmd
}

// drill fills in what is to be done.
func (c *connection) drill(d *drill.Drill, args []string, random bool) (err error) {
	if len(args) != 2 && len(args) != 3 {
		return errors.New("name a drill and a set, such as: berth drill run pod sts/web")
	}
	if d.Kind, err = plan.Named(args[0]); err != nil {
		return err
	}
	var kind string
	if kind, d.Name, err = object(args[1:]); err != nil {
		return err
	}
	if kind != "statefulset" {
		return fmt.Errorf("drills are for StatefulSets, and %s is none", args[1])
	}
	if d.Kind.Here && os.Getuid() != 0 {
		return fmt.Errorf("drill %s kills processes of this machine: run it as root", d.Kind.Name)
	}
	if d.Namespace, err = c.namespace(d.Namespace); err != nil {
		return err
	}
	if d.Dir, err = c.dir(); err != nil {
		return err
	}
	if random {
		d.Seed = rand.Uint64() //nolint:gosec // not for secrets
	}
	client, err := c.client()
	d.Client = client
	return err
}
