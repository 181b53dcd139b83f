package systems

import (
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/load"
)

// A primary and its replicas on five volumes that lie on a file server: what is
// written to the primary is read from all, whoever of them is lost.
func TestMySQL(t *testing.T) {
	r := begin(t, MySQL)
	sql := load.MySQL{Dial: r.Dial}
	ask := func(server, statement string) string {
		rows, err := sql.Query(t.Context(), server+":3306", statement)
		if err != nil {
			return err.Error()
		}
		return strings.Join(rows, " ")
	}
	answering := func(want string) {
		t.Helper()
		seen := map[string]bool{}
		r.C.Eventually(0, want, func() string {
			seen[ask("mysql-read", "SELECT @@hostname")] = true
			var all []string
			for name := range seen {
				all = append(all, name)
			}
			return sorted(all)
		})
	}
	answering("mysql-0 mysql-1 mysql-2")
	r.C.Eventually(0, "mysql-0=0 mysql-1=1 mysql-2=1", func() string {
		var all []string
		for _, pod := range r.Pods(r.C) {
			all = append(all, pod+"="+ask(pod+".mysql", "SELECT @@read_only"))
		}
		return strings.Join(all, " ")
	})

	r.kill("mysql-0", "mariadbd ")
	r.lose("mysql-2", "mysql-0", "mysql-1")
	r.scale(5)
	answering("mysql-0 mysql-1 mysql-2 mysql-3 mysql-4")
	r.C.Eventually(0, "Bound Bound Bound Bound Bound", r.C.Ask("get", "pv", "-o", "jsonpath={.items[*].status.phase}"))
	r.Roll(t, r.C)
	r.written("after all were replaced")
	r.scale(2)
	r.scale(5) // the replicas catch up from where they left

	r.end()
	sum := ask("mysql-0.mysql", checksum)
	for _, pod := range r.Pods(r.C)[1:] {
		same := ask(pod+".mysql", checksum)
		if same != sum || len(sum) == 0 {
			t.Errorf("the rows of %s have the checksum %q, the primary's %q", pod, same, sum)
		}
	}
	t.Logf("the checksum of the rows is %s on all five", sum)
}

const checksum = "SELECT CONCAT(COUNT(*), ' ', SHA2(GROUP_CONCAT(n ORDER BY n), 256)) FROM berth.records"
