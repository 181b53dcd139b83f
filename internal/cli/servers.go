package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/app"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/member"
)

func newServerList(s streams) *cobra.Command {
	var c connection
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the servers that share the embedded datastore",
		Example: "  berth server list\n  berth server list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output %q: only json is known", output)
			}
			var members []datastore.Member
			if err := c.servers(cmd.Context(), http.MethodGet, "", &members); err != nil {
				return err
			}
			if output == "json" {
				enc := json.NewEncoder(s.out)
				enc.SetIndent("", "  ")
				return enc.Encode(members)
			}
			return printServers(s.out, members)
		},
	}
	c.bind(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for machines")
	return cmd
}

func printServers(to io.Writer, members []datastore.Member) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tADDRESS\tSTATE")
	for _, m := range members {
		name, state := m.Name, "member"
		switch {
		case m.Name == "":
			name, state = "<none>", "joining, has not started"
		case m.Learner:
			state = "joining, does not count yet"
		case m.Leader:
			state = "member, leads the datastore"
		}
		address, reachable := strings.CutPrefix(m.URL, "https://")
		if !reachable { // it is alone: nobody has to reach it
			address = "<none>"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, address, state)
	}
	return w.Flush()
}

func newServerRemove(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a server out of the cluster for ever",
		Long: `Take a server out of those that share the embedded datastore: one that is lost, or one
that is to leave, which then ends with exit code 1. More than half of the servers must
run. To come back it joins again, with --server and --token-file. Its node, with the
pods on it, stays: kubectl drain and kubectl delete node remove it.`,
		Example: "  berth server remove db2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.servers(cmd.Context(), http.MethodDelete, args[0], nil); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "server %s removed\n", args[0])
			return nil
		},
	}
	c.bind(cmd)
	return cmd
}

func newServerAlone(s streams) *cobra.Command {
	var c connection
	var sure bool
	cmd := &cobra.Command{
		Use:   "alone",
		Short: "Make this server the only one, when most of the others are lost for ever",
		Long: `Make this server the only one of its cluster, with the data that it has. For when more
than half of the servers are lost for ever, so that those that are left can do nothing:
choose one of them, whose berth does not run. The others must never be started again
with the data that they have. What was acknowledged in the last moment by servers that
are lost, and had not reached this one, is lost.`,
		Example: "  berth server alone --yes && berth server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !sure {
				return errors.New("--yes: give it when the other servers are lost for ever; read `berth server alone --help` first")
			}
			dir, err := c.dir()
			if err != nil {
				return err
			}
			if err := app.Alone(cmd.Context(), dir); err != nil {
				return err
			}
			fmt.Fprintln(s.out, "this server is the only one now; start it with berth server, and let others join anew with empty data directories")
			return nil
		},
	}
	c.bindDir(cmd)
	cmd.Flags().BoolVar(&sure, "yes", false, "the others are lost for ever")
	return cmd
}

// servers asks the API server about the servers of the cluster.
func (c *connection) servers(ctx context.Context, method, name string, answer any) error {
	path := member.Path
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	body, err := c.request(ctx, method, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if answer == nil {
		return nil
	}
	return json.NewDecoder(body).Decode(answer)
}

// download writes what the API server has at a path.
func (c *connection) download(ctx context.Context, path string, to io.Writer) error {
	body, err := c.request(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(to, body)
	return err
}

// request is the API server's answer, when it is a good one.
func (c *connection) request(ctx context.Context, method, path string) (io.ReadCloser, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(config.Host, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	got, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the API server does not answer: %w", err)
	}
	if got.StatusCode == http.StatusOK {
		return got.Body, nil
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s", sentence(text))
}

// sentence is what an error answer says: a Status or a line.
func sentence(text []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &status) == nil && status.Message != "" {
		return status.Message
	}
	return strings.TrimSpace(string(text))
}
