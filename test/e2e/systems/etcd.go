package systems

import "berth.dev/berth/test/e2e/load"

// Etcd is examples/etcd: three members.
var Etcd = System{
	Name:      "etcd",
	Manifests: []string{"storageclass.yaml", "services.yaml", "statefulset.yaml"},
	Set:       "etcd",
	Store: func(dial load.Dial) load.Store {
		return load.Etcd{Dial: dial, Address: "etcd-client:2379"}
	},
	Member: func(dial load.Dial, pod string) load.Store {
		return load.Etcd{Dial: dial, Address: pod + ".etcd:2379"}
	},
}

// EtcdScaling is the set of examples/etcd whose members join and leave.
var EtcdScaling = System{
	Name:      "etcd",
	Manifests: []string{"scaling.yaml"},
	Set:       "etcd-scaling",
	Store: func(dial load.Dial) load.Store {
		return load.Etcd{Dial: dial, Address: "etcd-scaling-client:2379"}
	},
	Member: func(dial load.Dial, pod string) load.Store {
		return load.Etcd{Dial: dial, Address: pod + ".etcd-scaling:2379"}
	},
}
