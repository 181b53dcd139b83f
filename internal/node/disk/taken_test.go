package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDuCountsWhatIsThereOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	before := Du(t.Context(), dir)
	if err := os.Link(file, filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	if got := Du(t.Context(), dir); got != before || got.Inodes != 2 {
		t.Errorf("%+v after %+v", got, before)
	}
	if got := Du(t.Context(), filepath.Join(dir, "nothing")); got != (Taken{}) {
		t.Errorf("a folder that is not there: %+v", got)
	}
}

func TestLayers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mountinfo")
	const text = `22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
99 28 0:50 / /state/tasks/abc/rootfs rw,relatime shared:9 - overlay overlay rw,lowerdir=/s/1/fs:/s/2/fs,upperdir=/s/3/fs,workdir=/s/3/work
98 28 0:51 / /elsewhere/def/rootfs rw - overlay overlay rw,upperdir=/s/4/fs
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Layers(file, "/state/tasks")
	if diff := cmp.Diff(map[string]string{"abc": "/s/3/fs"}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}
