package systems

import (
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/load"
)

// Redis is the primary of examples/redis.
var Redis = System{
	Name:      "redis",
	Namespace: "public-service",
	Manifests: []string{"redis.yaml"},
	Set:       "redis-sentinel-master-ss",
	Primary:   true,
	Store: func(dial load.Dial) load.Store {
		const primary = "redis-sentinel-master-ss-0.redis-sentinel-master-ss:6379"
		return load.Redis{Dial: dial, To: primary, From: primary}
	},
	Formed:   func(c *cluster.Cluster) { RedisReplicas.Complete(c) },
	Replicas: RedisReplicas.Set,
	Member: func(dial load.Dial, pod string) load.Store {
		return load.Redis{Dial: dial, From: pod + "." + RedisReplicas.Set + ":6379"}
	},
}

// RedisReplicas are those that follow it.
var RedisReplicas = System{Name: "redis", Namespace: "public-service", Set: "redis-sentinel-slave-ss"}
