package systems

import (
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/load"
)

// RabbitMQ is examples/rabbitmq: three brokers.
var RabbitMQ = System{
	Name:      "rabbitmq",
	Manifests: []string{"rabbitmq.yaml"},
	Set:       "rabbitmq",
	Store: func(dial load.Dial) load.Store {
		return load.RabbitMQ{Dial: dial, Address: "rabbitmq:5672"}
	},
	Member: func(dial load.Dial, pod string) load.Store {
		return load.RabbitMQ{Dial: dial, Address: pod + ".rabbitmq-nodes:5672"}
	},
	// A queue gets a copy on each broker that is there when it is made.
	Formed: func(c *cluster.Cluster) {
		c.Eventually(0, "three", func() string {
			if out, err := c.Try("exec", "rabbitmq-0", "--", "rabbitmqctl", "await_online_nodes", "3", "--timeout", "30"); err != nil {
				return out
			}
			return "three"
		})
	},
	Freed: func(c *cluster.Cluster) {
		c.Kubectl("delete", "pod", "-l", "app=rabbitmq", "--grace-period=5")
	},
}
