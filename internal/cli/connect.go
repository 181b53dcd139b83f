package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/internal/base/datadir"
)

// connection says which cluster a client command talks to: --kubeconfig, else
// the one of --data-dir, else the default directory's.
type connection struct {
	kubeconfig string
	dataDir    string
}

func (c *connection) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig file to use (default: the data directory's)")
	c.bindDir(cmd)
}

func (c *connection) bindDir(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.dataDir, "data-dir", datadir.Default, "data directory of the instance")
}

func (c *connection) dir() (datadir.Dir, error) { return datadir.New(c.dataDir) }

// file is the kubeconfig to use; it must exist.
func (c *connection) file() (string, error) {
	if c.kubeconfig != "" {
		return c.kubeconfig, nil
	}
	dir, err := c.dir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir.Kubeconfig()); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return "", fmt.Errorf("%s: permission denied; run as root or use --kubeconfig", dir.Kubeconfig())
		}
		return "", fmt.Errorf("no cluster in %s: %s does not exist; start one with `berth server --data-dir %s`, or name another with --data-dir or --kubeconfig",
			dir.Path(), dir.Kubeconfig(), dir.Path())
	}
	return dir.Kubeconfig(), nil
}

// kubectl is how a command that talks to the same cluster begins.
func (c *connection) kubectl() string {
	switch {
	case c.kubeconfig != "":
		return "berth kubectl --kubeconfig " + c.kubeconfig
	case c.dataDir != datadir.Default:
		return "berth kubectl --data-dir " + c.dataDir
	}
	return "berth kubectl"
}

// namespace is the one asked for, else the kubeconfig's.
func (c *connection) namespace(asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	file, err := c.file()
	if err != nil {
		return "", err
	}
	name, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: file}, nil).Namespace()
	return name, err
}

func (c *connection) config() (*rest.Config, error) {
	file, err := c.file()
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	cfg.QPS = -1
	return cfg, nil
}

func (c *connection) client() (*kubernetes.Clientset, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(cfg)
}
