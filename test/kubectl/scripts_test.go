package kubectl

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/test/conversation"
)

const accountWithin = 30 * time.Second

// stage is what all conversations share.
type stage struct {
	*alltest.Cluster
	bin string // holds kubectl
}

func TestConversations(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the API server")
	}
	s := open(t)
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	t.Run("all", func(t *testing.T) {
		for _, path := range paths {
			c, err := conversation.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				s.hold(t, c)
			})
		}
	})
}

func open(t *testing.T) *stage {
	s := &stage{
		// Machines are what scripts say they are, so nothing judges nodes and
		// nothing minds pods on none; nor does anything measure them.
		Cluster: alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle", "taint-eviction", "pod-garbage-collector", "horizontal-pod-autoscaler"}}),
		bin:     t.TempDir(),
	}
	self, err := os.Executable()
	must(t, err)
	must(t, os.Symlink(self, filepath.Join(s.bin, "kubectl")))
	alltest.Run(t, func(ctx context.Context) error { return kubelet(ctx, s.Client) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hold has the conversation in a namespace of its own.
func (s *stage) hold(t *testing.T, c *conversation.Conversation) {
	work, home := t.TempDir(), t.TempDir()
	must(t, c.Files(work))
	s.namespace(t, c.Name)
	text, err := s.Kubeconfig().Encode()
	must(t, err)
	config, err := clientcmd.Load(text)
	must(t, err)
	for _, each := range config.Contexts {
		each.Namespace = c.Name
	}
	must(t, clientcmd.WriteToFile(*config, filepath.Join(home, ".kube", "config")))
	env := append(os.Environ(), "HOME="+home, "PATH="+s.bin+":"+os.Getenv("PATH"), "KUBECONFIG=", "TERM=dumb", "LC_ALL=C",
		"TZ=UTC", "NS="+c.Name, "SERVER="+config.Clusters["berth"].Server, "EDITOR=", "KUBE_EDITOR=", "VISUAL=")

	c.Hold(t, conversation.Partner{
		Shell: func(ctx context.Context, line string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, "sh", "-c", line)
			cmd.Dir, cmd.Env = work, env
			return cmd
		},
		Hidden: []string{
			work, "$WORK", home, "$HOME", config.Clusters["berth"].Server, "https://server",
			strings.TrimPrefix(config.Clusters["berth"].Server, "https://"), "server",
		},
		Update: *update,
	})
}

// namespace makes one and waits for what the loops put into it.
func (s *stage) namespace(t *testing.T, name string) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { leave(s.Client, name) })
	deadline := time.Now().Add(accountWithin)
	for {
		_, err := s.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			_, err = s.Client.CoreV1().ConfigMaps(name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		}
		if err == nil {
			return
		}
		if !apierrors.IsNotFound(err) || time.Now().After(deadline) {
			t.Fatalf("namespace %s is not furnished: %v", name, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// leave deletes a conversation's namespace; nobody waits for its end.
func leave(client kubernetes.Interface, name string) {
	_ = client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
}
