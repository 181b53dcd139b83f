package systems

import "berth.dev/berth/test/e2e/load"

// PostgreSQL is examples/postgresql: a primary, which is written to, and replicas.
var PostgreSQL = System{
	Name:      "postgresql",
	Manifests: []string{"postgresql.yaml"},
	Set:       "pg",
	Primary:   true,
	Store: func(dial load.Dial) load.Store {
		return load.Postgres{Dial: dial, To: "pg-0.pg:5432", From: "pg-0.pg:5432"}
	},
	Member: func(dial load.Dial, pod string) load.Store {
		return load.Postgres{Dial: dial, From: pod + ".pg:5432"}
	},
}
