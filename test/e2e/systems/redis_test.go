package systems

import (
	"strings"
	"testing"
)

// A primary and replicas that follow it by its pod's name, whatever becomes of
// either.
func TestRedis(t *testing.T) {
	r := begin(t, Redis)
	primary := r.Pods(r.C)[0]
	r.kill(primary, "redis-server *:6379 ")
	r.lose(primary)
	RedisReplicas.Complete(r.C)
	for _, pod := range RedisReplicas.Pods(r.C) {
		RedisReplicas.Lose(t, r.C, pod)
	}
	r.Roll(t, r.C)
	RedisReplicas.Roll(t, r.C)
	r.written("after all were replaced")

	for _, pod := range RedisReplicas.Pods(r.C) {
		said := r.C.Kubectl("exec", pod, "--", "redis-cli", "set", "mine", "1")
		if !strings.HasPrefix(said, "READONLY ") {
			t.Errorf("%s takes writes of its own: %s", pod, said)
		}
	}
	r.end()
}
