package systems

import (
	"strings"
	"testing"
)

// Three members of etcd: any may go, be killed, all may be replaced, and what was
// written stays; every member says the same, linearizably.
func TestEtcd(t *testing.T) {
	r := begin(t, Etcd)
	r.kill("etcd-1", "etcd --name etcd-1 ")
	r.lose(r.Pods(r.C)...)
	r.Roll(t, r.C)
	r.written("after all were replaced")
	r.end()
}

// Members join and leave as the set is scaled.
func TestEtcdScaling(t *testing.T) {
	r := begin(t, EtcdScaling)
	joined := func(names string) {
		t.Helper()
		r.C.Eventually(0, names, func() string {
			out, err := r.C.Try("exec", "etcd-scaling-0", "--", "etcdctl", "member", "list")
			if err != nil {
				return out
			}
			var all []string
			for line := range strings.Lines(out) {
				if words := strings.Split(line, ", "); len(words) > 4 && words[4] != "" {
					all = append(all, strings.TrimPrefix(words[2], "etcd-scaling-"))
				}
			}
			return sorted(all)
		})
	}
	joined("0 1 2")
	r.scale(5)
	joined("0 1 2 3 4")
	r.lose("etcd-scaling-4")
	r.Roll(t, r.C)
	r.written("after all five were replaced")
	joined("0 1 2 3 4")
	r.scale(3)
	joined("0 1 2")
	r.lose("etcd-scaling-0")

	// Who left comes back with a claim of a former life.
	r.scale(5)
	joined("0 1 2 3 4")
	// A member that has lost its disk gets everything again.
	r.C.Kubectl("exec", "etcd-scaling-1", "--", "rm", "-rf", "/var/run/etcd/default.etcd")
	r.lose("etcd-scaling-1")
	joined("0 1 2 3 4")
	r.scale(3)
	joined("0 1 2")
	r.end()
}
