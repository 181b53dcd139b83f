package systems

import (
	"os"
	"path/filepath"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/load"
)

// MySQL is examples/mysql: a primary, which is written to, and replicas.
var MySQL = System{
	Name:      "mysql",
	Prepare:   func(t testing.TB, c *cluster.Cluster) { fileServer(t, c, "mysql") },
	Manifests: []string{"volumes.yaml", "configmap.yaml", "services.yaml", "statefulset.yaml"},
	Set:       "mysql",
	Primary:   true,
	Store: func(dial load.Dial) load.Store {
		return load.MySQL{Dial: dial, To: "mysql-0.mysql:3306", From: "mysql-0.mysql:3306"}
	},
	Member: func(dial load.Dial, pod string) load.Store {
		return load.MySQL{Dial: dial, From: pod + ".mysql:3306"}
	},
}

// fileServer lets the machine mount what the example's volumes say: its mount.nfs
// shows folders of the test's own.
func fileServer(t testing.TB, c *cluster.Cluster, example string) {
	t.Helper()
	helpers := filepath.Join(c.Host.Dir, "helpers")
	if err := os.MkdirAll(helpers, 0o755); err != nil {
		t.Fatal(err)
	}
	helper, err := os.ReadFile(filepath.Join(System{Name: example}.Folder(), "mount.nfs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(helpers, "mount.nfs"), helper, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", helpers+":"+os.Getenv("PATH"))
	t.Setenv("NFS_ROOT", filepath.Join(c.Host.Dir, "served"))
}
