package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

// What stands in the way of a start is said in one line, with what to do, and
// the exit code is 1.
func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	h := host.New(t, "refused")
	berth := filepath.Join(cluster.Bin(t), "berth")
	file := filepath.Join(h.Dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(h.Dir, "data")
	for name, c := range map[string]struct {
		command []string
		says    []string
	}{
		"data directory is a file":  {[]string{berth, "server", "--data-dir", file + "/x"}, []string{file, "--data-dir"}},
		"wrong datastore endpoint":  {[]string{berth, "server", "--data-dir", data, "--datastore-endpoint", "http://127.0.0.1:1"}, []string{"http://127.0.0.1:1"}},
		"unknown part":              {[]string{berth, "server", "--data-dir", data, "--disable", "dsn"}, []string{"--disable", `"dsn"`, "dns"}},
		"overlapping ranges":        {[]string{berth, "server", "--data-dir", data, "--service-cidr", "10.42.1.0/24"}, []string{"--service-cidr", "10.42.0.0/16"}},
		"unknown key in the file":   {[]string{berth, "server", "--config", filepath.Join(h.Dir, "bad.yaml")}, []string{"bad.yaml", "htps-port"}},
		"configuration not there":   {[]string{berth, "server", "--config", "/nowhere.yaml"}, []string{"/nowhere.yaml"}},
		"no bundle":                 {[]string{berth, "server", "--data-dir", data, "--bundle-dir", "/nowhere"}, []string{"/nowhere", "--bundle-dir"}},
		"status without a cluster":  {[]string{berth, "status", "--data-dir", "/nowhere"}, []string{"/nowhere", "berth server"}},
		"not root":                  {[]string{"setpriv", "--reuid=65534", "--clear-groups", berth, "server", "--data-dir", data}, []string{"root"}},
		"uninstall of another tree": {[]string{berth, "uninstall", "--yes", "--data-dir", "/usr"}, []string{"/usr", "nothing was removed"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(h.Dir, "bad.yaml"), []byte("htps-port: 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			out, err := h.Run(t.Context(), c.command[0], c.command[1:]...)
			if err == nil {
				t.Fatalf("it started:\n%s", out)
			}
			if got := exitCode(err); got != 1 {
				t.Errorf("exit code %d, want 1", got)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("said it only after %s", took)
			}
			last := lastLine(out)
			for _, word := range append(c.says, "berth: ") {
				if !strings.Contains(last, word) {
					t.Errorf("does not say %q:\n%s", word, out)
				}
			}
		})
	}
}

func TestASecondServerOnTheSameDirectory(t *testing.T) {
	c := cluster.New(t, "second").Start()
	out, err := c.Host.Run(t.Context(), c.Berth(), "server", "--data-dir", c.Data)
	pid, readErr := os.ReadFile(filepath.Join(c.Data, "lock"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err == nil || !strings.Contains(lastLine(out), "in use by berth with pid "+strings.TrimSpace(string(pid))) {
		t.Errorf("%v: %s", err, out)
	}
	// Another directory, the same port.
	out, err = c.Host.Run(t.Context(), c.Berth(), "server", "--data-dir", c.Data+"2")
	if err == nil || !strings.Contains(out, "6443") || !strings.Contains(out, "--https-port") {
		t.Errorf("%v: %s", err, out)
	}
}

// SIGTERM stops berth within 5 s and leaves containers running; the next start
// takes them over. berth down leaves nothing; what it kept comes back.
func TestStopStartAndDown(t *testing.T) {
	c := cluster.New(t, "stop", "--kubelet-paths=on")
	foldersOfItsOwn(t, c)
	c.Start()
	demo := filepath.Join(repo(t), "examples/demo/web.yaml")
	c.Kubectl("apply", "-f", demo)
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	before := c.Containers()
	const logs = "cat /var/log/containers/web-?_default_*-*.log && ls /var/log/containers | wc -l && ls /var/lib/kubelet/pods | wc -l"
	if got := c.Host.MustRun(t.Context(), "sh", "-c", logs); !strings.HasSuffix(got, "3\n3\n") {
		t.Errorf("logs and pods where a kubelet has them: %q", got)
	}

	if took := c.Signal("TERM"); took > 30*time.Second {
		t.Errorf("SIGTERM took %s", took)
	}
	if n := strings.Count(strings.Join(c.Host.Processes(), "\n"), "/demo"); n != 3 {
		t.Errorf("%d demo containers run while berth is stopped, want 3:\n%s", n, strings.Join(c.Host.Processes(), "\n"))
	}
	c.Start()
	if after := c.Containers(); after != before {
		t.Errorf("containers changed over a stop and start:\n%s\nnow:\n%s", before, after)
	}

	out := c.Host.MustRun(t.Context(), c.Berth(), "down", "--data-dir", c.Data)
	if left := c.Host.Processes(); len(left) != 0 {
		t.Errorf("down left processes:\n%s\n%s", strings.Join(left, "\n"), out)
	}
	for what, command := range map[string]string{
		"mounts":     "grep " + c.Data + " /proc/mounts || true",
		"interfaces": "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | grep -vE '^(lo|eth0|world)$' || true",
		"routes":     "grep -E '^[^ ]*[[:space:]]' /proc/net/route | grep -vE '^(Iface|eth0)' || true",
		"folders":    "ls -d /var/lib/kubelet /var/log/pods /var/log/containers 2>/dev/null || true",
		"sockets":    "ls " + c.Data + "/run 2>/dev/null || true",
	} {
		if left := c.Host.MustRun(t.Context(), "sh", "-c", command); strings.TrimSpace(left) != "" {
			t.Errorf("down left %s:\n%s", what, left)
		}
	}
	c.Start()
	c.Kubectl("rollout", "status", "statefulset/web", "--timeout=150s")
	if got := c.Kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.name}"); got != "web-0 web-1 web-2" {
		t.Errorf("pods after down and start: %s", got)
	}

	// What the API says may be from before; the pods are to be there.
	c.Eventually(60*time.Second, "3", func() string {
		return fmt.Sprint(strings.Count(strings.Join(c.Host.Processes(), "\n"), "/demo"))
	})
	c.Host.MustRun(t.Context(), c.Berth(), "uninstall", "--yes", "--data-dir", c.Data)
	if _, err := os.Stat(c.Data); !os.IsNotExist(err) {
		t.Errorf("uninstall left %s", c.Data)
	}
	if left := c.Host.Processes(); len(left) != 0 {
		t.Errorf("uninstall left processes: %v", left)
	}
}

// Whatever is being made when an instance is taken down, nothing is left of it.
func TestDownWhilePodsStart(t *testing.T) {
	c := cluster.New(t, "early").Start()
	c.Kubectl("apply", "-f", repo(t)+"/examples/demo/web.yaml")
	for moment := range 8 {
		time.Sleep(time.Duration(moment) * 40 * time.Millisecond) // any moment will do
		out := c.Host.MustRun(t.Context(), c.Berth(), "down", "--data-dir", c.Data)
		if left := c.Host.Processes(); len(left) != 0 {
			t.Fatalf("moment %d: down left processes:\n%s\n%s", moment, strings.Join(left, "\n"), out)
		}
		c.Start()
	}
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
