package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

func logsOfContainers(t *testing.T, c *cluster.Cluster) {
	c.Apply(shell("talk", "echo one; sleep 0.2; echo two >&2; sleep 1; echo three; trap 'exit 0' TERM; while ! test -e /tmp/go; do sleep 0.1; done; echo four; exit 3", ""))
	c.Kubectl("wait", "--for=condition=Ready", "pod/talk", "--timeout=150s")
	follow := c.Spawn("logs", "-f", "talk")
	logs := func(args ...string) func() string {
		return func() string { return c.Kubectl(append([]string{"logs", "talk"}, args...)...) }
	}
	c.Eventually(60*time.Second, "one\ntwo\nthree", logs())
	same(t, "--tail", logs("--tail=1")(), "three")
	same(t, "--limit-bytes", logs("--limit-bytes=4")(), "one")
	same(t, "--since=1h", logs("--since=1h")(), "one\ntwo\nthree")
	same(t, "--since-time", logs("--since-time=2001-01-01T00:00:00Z", "--tail=2")(), "two\nthree")
	same(t, "--prefix", c.Ask("logs", "-l", "app=talk", "--prefix", "--tail=1"), "[pod/talk/c] three")
	matches(t, "--timestamps", logs("--timestamps", "--tail=1")(), `20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}(Z|[+-][0-9:]+) three`)
	same(t, "--previous of the first", c.Refused("logs", "talk", "--previous"), `Error from server (BadRequest): previous terminated container "c" in pod "talk" not found`)
	same(t, "another container", c.Refused("logs", "talk", "-c", "nope"), "error: container nope is not valid for pod talk out of: c")
	c.ExecLast("talk", "--", "touch", "/tmp/go")
	c.Eventually(60*time.Second, "one\ntwo\nthree\nfour\n", follow.Said)
	c.Eventually(60*time.Second, "one\ntwo\nthree\nfour", func() string { out, _ := c.Try("logs", "talk", "--previous"); return strings.TrimSpace(out) })
	c.Eventually(60*time.Second, "one\ntwo\nthree", logs())
	time.Sleep(1100 * time.Millisecond) // a second in which nothing is said
	same(t, "--since=1s", logs("--since=1s")(), "")
	c.Kubectl("delete", "pod", "talk")
}

func execAndAttach(t *testing.T, c *cluster.Cluster) {
	c.Apply(shell("sh", "trap 'exit 0' TERM; while read line; do echo \"heard $line\"; done", "      stdin: true\n"))
	c.Apply(strings.Replace(shell("page", "", "      ports: [{containerPort: 80}]\n"), "      command: [sh, -c, '']\n", "", 1))
	c.Kubectl("wait", "--for=condition=Ready", "pod/sh", "pod/page", "--timeout=150s")

	r := c.Do("exec", "sh", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
	if r.Code != 7 || r.Out != "out\n" || r.Err != "err\ncommand terminated with exit code 7\n" {
		t.Errorf("exec: %+v", r)
	}
	in := c.KubectlCommand(t.Context(), "exec", "-i", "sh", "--", "wc", "-c")
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	in.Stdin = strings.NewReader(big)
	if out, err := in.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(len(big)) {
		t.Errorf("exec -i: %v %s", err, out)
	}
	r = c.Do("exec", "sh", "--", "nope")
	if r.Code == 0 || !strings.Contains(r.Err, `exec: "nope": executable file not found in $PATH`) {
		t.Errorf("exec of nothing: %+v", r)
	}
	says(t, "exec in no pod", c.Refused("exec", "nope", "--", "ls"), `Error from server (NotFound): pods "nope" not found`)

	t.Run("terminal", func(t *testing.T) {
		if _, err := exec.LookPath("script"); err != nil {
			t.Skip("needs script(1)")
		}
		// A terminal of 33 by 77 that becomes 40 by 100 when the command has seen that.
		seen := append(c.KubectlCommand(t.Context(), "exec", "sh", "--").Args, "test", "-f", "/tmp/seen")
		kubectl := c.KubectlCommand(t.Context(), "exec", "-it", "sh", "--", "sh", "-c", `for i in $(seq 1200); do s=$(stty size); echo $s; case $s in "33 77") touch /tmp/seen;; "40 100") exit 0;; esac; sleep 0.1; done; exit 1`).Args
		quoted := func(words []string) string {
			var all []string
			for _, word := range words {
				all = append(all, shellQuote(word))
			}
			return strings.Join(all, " ")
		}
		inner := "stty rows 33 cols 77; (until " + quoted(seen) + "; do sleep 0.2; done >/dev/null 2>&1; stty rows 40 cols 100 </dev/tty) & " + quoted(kubectl)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "script", "-qec", "sh -c "+shellQuote(inner), "/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil || !regexp.MustCompile(`(?s)33 77\r.*40 100\r`).Match(out) {
			t.Errorf("%v %q", err, out)
		}
	})
	t.Run("SPDY", func(t *testing.T) {
		cmd := c.KubectlCommand(t.Context(), "exec", "sh", "--", "echo", "over SPDY")
		cmd.Env = append(cmd.Environ(), "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false")
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "over SPDY\n" {
			t.Errorf("%v %s", err, out)
		}
	})
	t.Run("port-forward", func(t *testing.T) {
		c.Kubectl("exec", "page", "--", "sh", "-c", "echo forwarded > /usr/share/nginx/html/index.html")
		c.Kubectl("expose", "pod", "page", "--port=8000", "--target-port=80")
		for i, target := range []string{"pod/page", "service/page"} {
			remote := []string{"80", "8000"}[i]
			at := fmt.Sprint(18080 + i)
			said := c.Spawn("port-forward", target, at+":"+remote)
			c.Eventually(60*time.Second, "true", func() string {
				return fmt.Sprint(strings.Contains(said.Said(), "Forwarding from 127.0.0.1:"+at+" -> 80"))
			})
			if r := c.Run("curl", "-s", "http://127.0.0.1:"+at+"/"); r.Out != "forwarded\n" {
				t.Errorf("%s: %+v %s", target, r, said.Said())
			}
		}
		says(t, "port-forward to nothing", c.Refused("port-forward", "pod/nope", "18090:80"), `pods "nope" not found`)
	})
	t.Run("attach", func(t *testing.T) {
		cmd := c.KubectlCommand(t.Context(), "attach", "-i", "sh")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out := &cluster.Background{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(stdin, "hello")
		c.Eventually(60*time.Second, "true", func() string { return fmt.Sprint(strings.Contains(out.Said(), "heard hello\n")) })
		stdin.Close()
		_ = cmd.Wait()
	})
	t.Run("run and remove", func(t *testing.T) {
		r := c.Do("run", "--rm", "-i", "brief", "--restart=Never", "--image="+nginxName, "--command", "--", "sh", "-c", "sleep 0.5; echo hi; exit 4")
		if r.Code != 4 || !strings.Contains(r.Out, "hi\n") || !strings.Contains(r.Out, `pod "brief" deleted`) {
			t.Errorf("%+v", r)
		}
	})
}

func shellQuote(s string) string { return `'` + strings.ReplaceAll(s, `'`, `'\''`) + `'` }

func copyFiles(t *testing.T, c *cluster.Cluster) {
	c.Import(toolsImage(t))
	c.Kubectl("run", "tools", "--image="+toolsName, "--overrides", `{"spec":{"terminationGracePeriodSeconds":0}}`)
	c.Kubectl("wait", "--for=condition=Ready", "pod/tools", "--timeout=150s")
	folder := c.Path("there")
	if err := os.MkdirAll(filepath.Join(folder, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("berth ", 100_000)
	if err := os.WriteFile(filepath.Join(folder, "deep", "file"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Kubectl("cp", folder, "tools:/tmp/there")
	same(t, "file modes", c.Kubectl("exec", "tools", "--", "stat", "-c", "%a %s", "/tmp/there/deep/file"), fmt.Sprintf("600 %d", len(content)))
	c.Kubectl("cp", "tools:/tmp/there", c.Path("back"))
	got, err := os.ReadFile(filepath.Join(c.Path("back"), "deep", "file"))
	if err != nil || string(got) != content {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	// kubectl tells what tar says, if that comes before it ends; its exit code is 0.
	c.Eventually(60*time.Second, "true", func() string {
		r := c.Do("cp", "tools:/tmp/nope", c.Path("nope"))
		return strconv.FormatBool(strings.Contains(r.Out+r.Err, "No such file or directory"))
	})
}
