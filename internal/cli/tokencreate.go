package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/pki"
	"berth.dev/berth/internal/plan/bootstraptoken"
)

// newTokenCreate makes tokens that end by themselves, as kubeadm does: Secrets in
// kube-system, so that every server knows them.
func newTokenCreate(s streams) *cobra.Command {
	var c connection
	var ttl time.Duration
	var description string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token for machines to join with that ends by itself, and print it",
		Example: `  berth token create > nodes.token
  berth token create --ttl 1h --description "rack 7"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl < 0 {
				return fmt.Errorf("--ttl: %s is no time; 0 is for ever", ttl)
			}
			config, err := c.config()
			if err != nil {
				return err
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			id, err := pki.RandomText(6)
			if err != nil {
				return err
			}
			secret, err := pki.RandomText(16)
			if err != nil {
				return err
			}
			t, err := tokenFor(config, id+"."+secret)
			if err != nil {
				return err
			}
			if ttl > 0 {
				t.Expires = time.Now().Add(ttl).UTC().Truncate(time.Second)
			}
			_, err = client.CoreV1().Secrets(bootstraptoken.Namespace).Create(cmd.Context(), bootstraptoken.New(id, secret, description, t.Expires), metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("make a token: %w", err)
			}
			fmt.Fprintln(s.out, t)
			return nil
		},
	}
	c.bind(cmd)
	cmd.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long machines can join with it; 0 is for ever")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, for the list")
	return cmd
}

// tokenFor adds to a bootstrap token whom to believe.
func tokenFor(config *rest.Config, text string) (join.Token, error) {
	if err := rest.LoadTLSFiles(config); err != nil {
		return join.Token{}, err
	}
	authorities, err := cert.ParseCertsPEM(config.CAData)
	if err != nil || len(authorities) == 0 {
		return join.Token{}, fmt.Errorf("the kubeconfig names no authority of the cluster: %w", err)
	}
	return join.NewToken(text, authorities[0]), nil
}

func newTokenList(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens that berth token create has made, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			secrets, err := client.CoreV1().Secrets(bootstraptoken.Namespace).List(cmd.Context(), metav1.ListOptions{FieldSelector: "type=" + string(bootstraptoken.SecretType)})
			if err != nil {
				return fmt.Errorf("list tokens: %w", err)
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
			fmt.Fprintln(w, "ID\tEXPIRES\tDESCRIPTION")
			for i := range secrets.Items {
				id, expires, description := bootstraptoken.Describe(&secrets.Items[i], time.Now())
				fmt.Fprintf(w, "%s\t%s\t%s\n", id, expires, description)
			}
			return w.Flush()
		},
	}
	c.bind(cmd)
	return cmd
}

func newTokenDelete(s streams) *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "delete ID...",
		Short: "End tokens; machines that have joined with them stay",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := deleteToken(cmd.Context(), client.CoreV1().Secrets(bootstraptoken.Namespace), id); err != nil {
					return err
				}
				fmt.Fprintf(s.out, "token %s is deleted\n", id)
			}
			return nil
		},
	}
	c.bind(cmd)
	return cmd
}

func deleteToken(ctx context.Context, in typedcorev1.SecretInterface, given string) error {
	id := bootstraptoken.ID(given)
	if id == "" {
		return fmt.Errorf("%q is no token's ID; see `berth token list`", given)
	}
	err := in.Delete(ctx, bootstraptoken.Name(id), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no token %s; see `berth token list`", id)
	}
	return err
}
