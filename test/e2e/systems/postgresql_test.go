package systems

import (
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/load"
)

// A primary and replicas that follow its log, whoever of them is lost.
func TestPostgreSQL(t *testing.T) {
	r := begin(t, PostgreSQL)
	r.kill("pg-0", "postgres -D ")
	r.kill("pg-1", "postgres -D ")
	r.lose("pg-2", "pg-0")
	r.scale(4)
	r.Roll(t, r.C)
	r.written("after all were replaced")

	sql := load.Postgres{Dial: r.Dial}
	// A replica is not Ready, and has no name, while its primary is away.
	r.C.Eventually(0, "refused", func() string {
		_, err := sql.Query(t.Context(), "pg-1.pg:5432", "INSERT INTO records VALUES (0)")
		switch {
		case err == nil:
			t.Fatal("a replica takes writes of its own")
		case strings.Contains(err.Error(), "read-only transaction"):
			return "refused"
		}
		return err.Error()
	})
	r.end()
}
