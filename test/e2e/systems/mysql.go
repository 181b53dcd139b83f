package systems

import "berth.dev/berth/test/e2e/load"

// MySQL is examples/mysql: a primary, which is written to, and replicas.
var MySQL = System{
	Name:      "mysql",
	Manifests: []string{"volumes.yaml", "configmap.yaml", "services.yaml", "statefulset.yaml"},
	Set:       "mysql",
	Store: func(dial load.Dial) load.Store {
		return load.MySQL{Dial: dial, To: "mysql-0.mysql:3306", From: "mysql-0.mysql:3306"}
	},
}
