package e2e

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/distribution/reference"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/test/conversation"
	"berth.dev/berth/test/e2e/cluster"
)

var update = flag.Bool("update", false, "write what was answered into the conversations")

// Every StatefulSet and every Deployment command of a tutorial that users follow,
// as printed there, answered as today's kubectl and upstream do.
func tutorials(t *testing.T, c *cluster.Cluster) {
	mirror(t, c, "nginx", "nginx:1.7.9", "nginx:1.9.1", "nginx:1.9.2", "dotbalo/canary:v1", "dotbalo/canary:v2")
	t.Run("deployments", func(t *testing.T) {
		t.Parallel()
		talk(t, c.In(t, "deployments"), "testdata/tutorial-deployment.txtar")
	})
	talk(t, c, "testdata/tutorial-statefulset.txtar")
}

// Mistakes of manifests that users find and write: what is answered, and the line
// to change.
func mistakes(t *testing.T, c *cluster.Cluster) {
	talk(t, c, "testdata/mistakes.txtar")
}

// mirror serves public images by these names from a registry of the test's own:
// all are the nginx example's.
func mirror(t *testing.T, c *cluster.Cluster, names ...string) {
	t.Helper()
	at := serveRegistry(t, c)
	for _, name := range names {
		ref, err := reference.ParseDockerRef(name)
		if err != nil {
			t.Fatal(err)
		}
		push(t, at.handler, nginxImage(t), reference.Path(ref), ref.(reference.Tagged).Tag())
		at.serves(t, c, reference.Domain(ref))
	}
}

// talk has a conversation with the cluster on its host.
func talk(t *testing.T, c *cluster.Cluster, path string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	script, err := conversation.Read(path)
	must(err)
	work := c.Path("work")
	must(os.MkdirAll(work, 0o755))
	must(script.Files(work))
	config, err := clientcmd.LoadFromFile(filepath.Join(c.Data, "kubeconfig"))
	must(err)
	for _, each := range config.Contexts {
		each.Namespace = c.Namespace()
	}
	kubeconfig := c.Path("kubeconfig")
	must(clientcmd.WriteToFile(*config, kubeconfig))
	script.Hold(t, conversation.Partner{
		Shell: func(ctx context.Context, line string) *exec.Cmd {
			return c.Host.Command(ctx, "env", "-C", work, "KUBECONFIG="+kubeconfig, "PATH="+c.Bin()+":"+os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC",
				"sh", "-c", line)
		},
		Hidden: []string{work, "$WORK"},
		Update: *update,
	})
}
