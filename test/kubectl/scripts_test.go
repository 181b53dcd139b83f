package kubectl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/internal/controller/all/alltest"
)

const (
	commandWithin = time.Minute
	accountWithin = 30 * time.Second
)

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
			c, err := read(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s.hold(t, c)
			})
		}
	})
}

func open(t *testing.T) *stage {
	s := &stage{
		// Machines are what scripts say they are, so nothing judges nodes and
		// nothing minds pods on none.
		Cluster: alltest.Start(t, alltest.Options{Without: []string{"node-lifecycle", "pod-garbage-collector"}}),
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

// hold has the conversation and compares, or notes down, the answers.
func (s *stage) hold(t *testing.T, c *conversation) {
	work, home := t.TempDir(), t.TempDir()
	must(t, c.files(work))
	s.namespace(t, c.name)
	text, err := s.Kubeconfig().Encode()
	must(t, err)
	config, err := clientcmd.Load(text)
	must(t, err)
	for _, each := range config.Contexts {
		each.Namespace = c.name
	}
	must(t, clientcmd.WriteToFile(*config, filepath.Join(home, ".kube", "config")))
	env := append(os.Environ(), "HOME="+home, "PATH="+s.bin+":"+os.Getenv("PATH"), "KUBECONFIG=", "TERM=dumb", "LC_ALL=C",
		"TZ=UTC", "NS="+c.name, "SERVER="+config.Clusters["berth"].Server, "EDITOR=", "KUBE_EDITOR=", "VISUAL=")
	hidden := strings.NewReplacer(work, "$WORK", home, "$HOME", config.Clusters["berth"].Server, "https://server",
		strings.TrimPrefix(config.Clusters["berth"].Server, "https://"), "server")

	changed := false
	for i := range c.turns {
		turn := &c.turns[i]
		out, err := run(t.Context(), work, env, turn.command)
		must(t, err)
		got := strings.TrimRight(normal(hidden.Replace(out), c.rules), "\n")
		if got == turn.answer {
			continue
		}
		if *update {
			turn.answer, changed = got, true
			continue
		}
		t.Fatalf("%s:%d: $ %s\n%s", c.path, turn.line, turn.command,
			cmp.Diff(strings.Split(turn.answer, "\n"), strings.Split(got, "\n")))
	}
	if changed {
		must(t, c.write())
	}
}

// run gives one line to the shell and returns what it wrote to both streams.
func run(ctx context.Context, dir string, env []string, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, env, time.Second
	out, err := cmd.CombinedOutput()
	text := string(out)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("not done within %s: %s\n%s", commandWithin, line, text)
	case errors.As(err, &exit):
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + fmt.Sprintf("[exit %d]\n", exit.ExitCode()), nil
	}
	return text, err
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
