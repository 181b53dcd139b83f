package systems

import (
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/test/e2e/cluster"
)

// What needs an image of a public registry is taken as it stands, with nothing
// unknown in it and nothing to warn of.
func TestPublicImages(t *testing.T) {
	c := cluster.New(t, "public").Start()
	for name, objects := range map[string]int{"kafka": 3, "mongodb": 4, "elasticsearch": 4} {
		folder := System{Name: name}.Folder()
		r := c.Do("apply", "--dry-run=server", "--validate=strict", "-f", filepath.Join(folder, name+".yaml"))
		if r.Code != 0 || r.Err != "" || strings.Count(r.Out, " created (server dry run)\n") != objects {
			t.Errorf("%s:\n%s%s", name, r.Out, r.Err)
		}
	}
}
