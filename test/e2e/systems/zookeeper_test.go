package systems

import (
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/load"
)

// Three servers whose ids are their ordinals, which begin with 1.
func TestZooKeeper(t *testing.T) {
	r := begin(t, ZooKeeper)
	for _, pod := range r.Pods(r.c) {
		if id := r.c.Kubectl("exec", pod, "--", "cat", "/data/myid"); "zk-"+id != pod {
			t.Errorf("the id of %s is %q", pod, id)
		}
	}
	r.c.Kubectl("exec", "zk-1", "--", "zookeeper", "cli", "-server", "zk", "create", "/where", "berth")
	if said := r.c.Kubectl("exec", "zk-3", "--", "zookeeper", "cli", "-server", "zk", "get", "/where"); !slices.Contains(strings.Split(said, "\n"), "berth") {
		t.Errorf("zookeeper's own client says\n%s", said)
	}
	r.kill("zk-2", "/usr/lib/jvm/")
	r.lose(r.Pods(r.c)...)
	r.Roll(t, r.c)
	r.written("after all were replaced")
	var servers []load.Store
	for _, pod := range r.Pods(r.c) {
		servers = append(servers, load.ZooKeeper{Dial: r.dial, Address: pod + ".zk-headless:2181"})
	}
	r.end(servers...)
}
