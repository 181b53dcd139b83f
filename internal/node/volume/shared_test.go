package volume

import "testing"

func TestIsShared(t *testing.T) {
	const info = `21 1 8:1 / / rw,relatime - ext4 /dev/root rw
22 21 8:2 / /data rw shared:5 - ext4 /dev/b rw
23 22 0:4 / /data/private rw - tmpfs t rw
24 21 0:5 / /both rw shared:6 - tmpfs t rw
25 24 0:6 / /both rw master:7 - tmpfs t rw
26 21 0:7 / /with\040blank rw master:1 shared:8 - tmpfs t rw
`
	for path, want := range map[string]bool{
		"/x": false, "/data": true, "/data/kubelet": true, "/database": false, "/data/private/kubelet": false, "/both/x": false, "/with blank/x": true,
	} {
		if got := isShared([]byte(info), path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
