package systems

import "testing"

// Three brokers with a queue of which each has a copy.
func TestRabbitMQ(t *testing.T) {
	r := begin(t, RabbitMQ)
	r.kill("rabbitmq-1", "/usr/lib/erlang/")
	r.lose(r.Pods(r.C)...)
	r.Roll(t, r.C)
	r.written("after all were replaced")
	r.end()
}
