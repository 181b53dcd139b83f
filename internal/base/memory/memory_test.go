package memory

import (
	"runtime"
	"testing"
	"time"
)

func TestWhenToTrim(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		before, now heap
		want        bool
	}{
		"nothing to gain":            {heap{allocated: 0}, heap{allocated: mb, objects: 50 * mb, live: 45 * mb, free: mb}, false},
		"garbage while idle":         {heap{allocated: 0}, heap{allocated: mb, objects: 80 * mb, live: 45 * mb}, true},
		"unused memory while idle":   {heap{allocated: 0}, heap{allocated: mb, objects: 45 * mb, live: 45 * mb, free: 40 * mb}, true},
		"garbage, but there is work": {heap{allocated: 0}, heap{allocated: 100 * mb, objects: 80 * mb, live: 45 * mb}, false},
		"live grew past the count":   {heap{allocated: 0}, heap{allocated: mb, objects: 40 * mb, live: 45 * mb}, false},
	} {
		if got := !c.now.busy(c.before, 10*time.Second) && c.now.garbage() > worth; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The names of the metrics exist and move with the heap.
func TestLook(t *testing.T) {
	runtime.GC()
	before := look()
	block := make([]byte, 32<<20)
	after := look()
	if grown := after.allocated - before.allocated; grown < 32<<20 {
		t.Errorf("allocated grew by %d", grown)
	}
	if after.objects == 0 || after.live == 0 {
		t.Errorf("no heap: %+v", after)
	}
	runtime.KeepAlive(block)
}
