package systems

import "berth.dev/berth/test/e2e/load"

// ZooKeeper is examples/zookeeper: three servers.
var ZooKeeper = System{
	Name:      "zookeeper",
	Manifests: []string{"zookeeper.yaml"},
	Set:       "zk",
	Store: func(dial load.Dial) load.Store {
		return load.ZooKeeper{Dial: dial, Address: "zk:2181"}
	},
	Member: func(dial load.Dial, pod string) load.Store {
		return load.ZooKeeper{Dial: dial, Address: pod + ".zk-headless:2181"}
	},
}
