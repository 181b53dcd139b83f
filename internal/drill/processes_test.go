package drill

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"berth.dev/berth/internal/base/datadir"
)

// What matches is killed, what does not runs on, and nobody kills himself.
func TestKill(t *testing.T) {
	start := func(seconds string) *exec.Cmd {
		cmd := exec.Command("sleep", seconds)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	// Not the seconds alone: somebody else's may sleep as long.
	victim, other := start("86399.25"), start("86398.25")
	all, err := processes(func(pid int, words []string, _ string) bool {
		return pid == os.Getpid() || pid == victim.Process.Pid && slices.Contains(words, "86399.25")
	})
	if err != nil || !slices.Equal(pids(all), []int{victim.Process.Pid}) {
		t.Fatalf("%v, %v", pids(all), err)
	}
	if err := kill(all); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("%v", err)
	}
	if words(other.Process.Pid) == nil {
		t.Error("another process is gone")
	}
}

func TestWhoseProcess(t *testing.T) {
	dir, err := datadir.New("/var/lib/berth")
	if err != nil {
		t.Fatal(err)
	}
	group := "0::/berth-" + dir.ID() + "/kubepods/burstable/pod7d3/abc\n"
	if !within(group, dir) || within("0::/berth-"+dir.ID()+"0/kubepods/pod7d3\n", dir) || within("", dir) {
		t.Error("a pod's process is told by its instance's group")
	}
	for _, test := range []struct {
		words []string
		want  bool
	}{
		{[]string{"/opt/bundle/containerd", "--config", dir.Containerd() + "/config.toml"}, true},
		{[]string{"/opt/bundle/containerd", "--config", "/etc/containerd/config.toml"}, false},
		{[]string{"containerd-shim-runc-v2", "-address", dir.Containerd() + "/config.toml"}, false},
		{nil, false},
	} {
		if got := isRuntime(test.words, dir); got != test.want {
			t.Errorf("%v: %t", test.words, got)
		}
	}
}
