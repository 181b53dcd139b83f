package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/test/e2e/cluster"
)

// logSize is how long logs grow on the shared cluster: less than by default, so
// that the story of long logs need not write many megabytes.
const logSize = "--container-log-max-size=256Ki"

// A container that writes on and on fills neither the disk, nor does anybody who
// follows its log miss a line when a new file is begun.
func longLogs(t *testing.T, c *cluster.Cluster) {
	const rounds, lines = 100, 250
	c.Apply(shell("talk", fmt.Sprintf("trap 'exit 0' TERM; test -e /e/x && echo again && i=%[1]d || i=100; touch /e/x; while [ $i -lt %[1]d ]; do seq -f \"$i-%%090.0f\" 1 %[2]d; i=$((i+1)); sleep 0.15; done; echo end; while :; do sleep 0.5; echo more; done", 100+rounds, lines),
		"      volumeMounts: [{name: e, mountPath: /e}]\n  volumes: [{name: e, emptyDir: {}}]\n"))
	c.Kubectl("wait", "--for=condition=Ready", "pod/talk", "--timeout=150s")
	follow := c.Spawn("logs", "-f", "talk")
	files := func() []string { // the current one first, then the oldest
		found, err := filepath.Glob(filepath.Join(c.Data, "log/pods", c.Namespace()+"_talk_*", "c", "0.log*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	c.Eventually(60*time.Second, "true", func() string { return fmt.Sprint(strings.Contains(follow.Said(), "\nend\n")) })
	said := strings.Split(strings.TrimSpace(follow.Said()), "\n")
	for i := range rounds * lines {
		want := fmt.Sprintf("%d-%090d", 100+i/lines, i%lines+1)
		if i >= len(said) || said[i] != want {
			t.Fatalf("line %d of %d is %q, want %q", i, len(said), said[min(i, len(said)-1)], want)
		}
	}
	// As many as are kept, the last two of them not compressed; the rest is gone.
	matches(t, "log files", func() string { return strings.Join(files(), " ") }, `\S+/0\.log( \S+\.gz){3} \S+[0-9]`)
	same(t, "the last line", c.Ask("logs", "talk", "--tail=1"), "more")
	// When it runs anew, its former log is there as it was when it ended.
	c.ExecLast("talk", "--", "sh", "-c", "kill 1")
	c.Eventually(60*time.Second, "more", func() string {
		out, _ := c.Try("logs", "talk", "--previous", "--tail=1")
		return strings.TrimSpace(out)
	})
	same(t, "the first line now", func() string { return c.Kubectl("logs", "talk", "--limit-bytes=5") }, "again")
	c.Kubectl("delete", "pod", "talk", "--now")
	c.Eventually(60*time.Second, "0", func() string { return fmt.Sprint(len(files())) })
}
