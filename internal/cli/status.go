package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/internal/snapshot"
)

// report is what `berth status -o json` prints.
type report struct {
	API   string       `json:"api"` // "ready", or why not
	Nodes []nodeReport `json:"nodes"`
	Pods  podReport    `json:"pods"`
	Ready bool         `json:"ready"` // pods can run
	// Snapshots is how the scheduled ones of the server that was asked get on.
	Snapshots *snapshot.State `json:"snapshots,omitempty"`
}

type nodeReport struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	Message string `json:"message,omitempty"`
	Version string `json:"version"`
}

type podReport struct {
	Total int `json:"total"`
	Ready int `json:"ready"`
}

func newStatus(s streams) *cobra.Command {
	var c connection
	var wait bool
	var output string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say whether the cluster is up and pods can run",
		Example: "  berth status --wait\n  berth status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output %q: only json is known", output)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			r, err := c.status(ctx, wait)
			if err != nil {
				return err
			}
			if err := r.print(s, output); err != nil {
				return err
			}
			if !r.Ready {
				return exitCode(1)
			}
			return nil
		},
	}
	c.bind(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until pods can run")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for machines")
	return cmd
}

// status asks once or, with wait, until pods can run.
func (c *connection) status(ctx context.Context, wait bool) (report, error) {
	for {
		r, err := c.ask(ctx, wait)
		if !wait || (err == nil && r.Ready) {
			return r, err
		}
		// The server is not up yet, so there is nothing to watch: try again soon.
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New("pods cannot run yet: " + r.why())
			}
			return r, fmt.Errorf("gave up waiting: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask reads the state; with wait it follows the nodes until one is Ready.
func (c *connection) ask(ctx context.Context, wait bool) (report, error) {
	client, err := c.client()
	if err != nil {
		return report{}, err
	}
	r := report{API: "ready"}
	if _, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return report{API: err.Error()}, fmt.Errorf("the API server does not answer: %w", err)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return r, err
	}
	if wait && !anyReady(nodes.Items) {
		if nodes.Items, err = awaitNode(ctx, client, nodes.ResourceVersion); err != nil {
			return r, err
		}
	}
	for _, n := range nodes.Items {
		ready, message := nodeReady(&n)
		r.Nodes = append(r.Nodes, nodeReport{Name: n.Name, Ready: ready, Message: message, Version: n.Status.NodeInfo.KubeletVersion})
		r.Ready = r.Ready || ready
	}
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return r, err
	}
	r.Pods.Total = len(pods.Items)
	for _, p := range pods.Items {
		if slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			r.Pods.Ready++
		}
	}
	r.Snapshots = c.snapshots(ctx, client)
	return r, nil
}

// awaitNode watches until a node is Ready.
func awaitNode(ctx context.Context, client kubernetes.Interface, from string) ([]corev1.Node, error) {
	w, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: from})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	for ev := range w.ResultChan() {
		if n, ok := ev.Object.(*corev1.Node); ok && anyReady([]corev1.Node{*n}) {
			return []corev1.Node{*n}, nil
		}
	}
	return nil, errors.New("no node is Ready")
}

func anyReady(nodes []corev1.Node) bool {
	return slices.ContainsFunc(nodes, func(n corev1.Node) bool { ready, _ := nodeReady(&n); return ready })
}

func nodeReady(n *corev1.Node) (ready bool, message string) {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue, c.Message
		}
	}
	return false, "no Ready condition yet"
}

// why is the shortest reason for not being ready.
func (r report) why() string {
	if len(r.Nodes) == 0 {
		return "no node has registered"
	}
	return fmt.Sprintf("node %s is not Ready: %s", r.Nodes[0].Name, r.Nodes[0].Message)
}

func (r report) print(s streams, output string) error {
	if output == "json" {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintf(s.out, "API server  %s\n", r.API)
	for _, n := range r.Nodes {
		state := "Ready"
		if !n.Ready {
			state = "NotReady: " + n.Message
		}
		fmt.Fprintf(s.out, "node        %s  %s  %s\n", n.Name, state, n.Version)
	}
	fmt.Fprintf(s.out, "pods        %d of %d Ready\n", r.Pods.Ready, r.Pods.Total)
	printPlaces(s.out, r.Snapshots, time.Now())
	if !r.Ready {
		fmt.Fprintf(s.out, "pods cannot run: %s\n", r.why())
	}
	return nil
}
