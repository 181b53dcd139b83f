package systems

import (
	"testing"

	"berth.dev/berth/test/e2e/load"
)

// Three brokers with a queue of which each has a copy.
func TestRabbitMQ(t *testing.T) {
	r := begin(t, RabbitMQ)
	r.kill("rabbitmq-1", "/usr/lib/erlang/")
	r.lose(r.Pods(r.c)...)
	r.Roll(t, r.c)
	r.written("after all were replaced")
	var brokers []load.Store
	for _, pod := range r.Pods(r.c) {
		brokers = append(brokers, load.RabbitMQ{Dial: r.dial, Address: pod + ".rabbitmq-nodes:5672"})
	}
	r.end(brokers...)
}
