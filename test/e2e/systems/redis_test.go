package systems

import (
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/load"
)

// A primary and replicas that follow it by its pod's name, whatever becomes of
// either.
func TestRedis(t *testing.T) {
	r := begin(t, Redis)
	RedisReplicas.Complete(r.c)
	primary := r.Pods(r.c)[0]
	r.kill(primary, "redis-server *:6379 ")
	r.lose(primary)
	RedisReplicas.Complete(r.c)
	for _, pod := range RedisReplicas.Pods(r.c) {
		RedisReplicas.Lose(t, r.c, pod)
	}
	r.Roll(t, r.c)
	RedisReplicas.Roll(t, r.c)
	r.written("after all were replaced")

	var replicas []load.Store
	for _, pod := range RedisReplicas.Pods(r.c) {
		replicas = append(replicas, load.Redis{Dial: r.dial, From: pod + "." + RedisReplicas.Set + ":6379"})
		said := r.c.Kubectl("exec", pod, "--", "redis-cli", "set", "mine", "1")
		if !strings.HasPrefix(said, "READONLY ") {
			t.Errorf("%s takes writes of its own: %s", pod, said)
		}
	}
	r.end(replicas...)
}
