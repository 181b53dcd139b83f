package systems

import (
	"slices"
	"strings"
	"testing"
)

// Three servers whose ids are their ordinals, which begin with 1.
func TestZooKeeper(t *testing.T) {
	r := begin(t, ZooKeeper)
	for _, pod := range r.Pods(r.C) {
		if id := r.C.Kubectl("exec", pod, "--", "cat", "/data/myid"); "zk-"+id != pod {
			t.Errorf("the id of %s is %q", pod, id)
		}
	}
	r.C.Kubectl("exec", "zk-1", "--", "zookeeper", "cli", "-server", "zk", "create", "/where", "berth")
	if said := r.C.Kubectl("exec", "zk-3", "--", "zookeeper", "cli", "-server", "zk", "get", "/where"); !slices.Contains(strings.Split(said, "\n"), "berth") {
		t.Errorf("zookeeper's own client says\n%s", said)
	}
	r.kill("zk-2", "/usr/lib/jvm/")
	r.lose(r.Pods(r.C)...)
	r.Roll(t, r.C)
	r.written("after all were replaced")
	r.end()
}
