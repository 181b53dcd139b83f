package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercentage(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name       string
		live, room uint64
		want       int
	}{
		{"nothing collected yet", 0, 256 * mb, usual},
		{"grows to the room", 64 * mb, 256 * mb, 300},
		{"in steps", 60 * mb, 256 * mb, 320},
		{"half of the room", 128 * mb, 256 * mb, usual},
		{"large", 500 * mb, 256 * mb, usual},
		{"tiny", mb, 256 * mb, most},
		{"no room", 40 * mb, 0, usual},
	} {
		if got := percentage(c.live, c.room); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestRoom(t *testing.T) {
	const gb = 1 << 30
	for machine, want := range map[uint64]uint64{0: 0, gb: gb / 16, 4 * gb: gb / 4, 64 * gb: gb / 2} {
		if got := room(machine); got != want {
			t.Errorf("machine of %d: %d, want %d", machine, got, want)
		}
	}
	if machine() < 64<<20 {
		t.Errorf("this machine has %d bytes", machine())
	}
}

// Collections change the percentage as long as Pace runs.
func TestPace(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	percent := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	Pace(t.Context())
	for deadline := time.Now().Add(time.Minute); percent() == usual; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a small heap is collected as usual")
		}
		runtime.GC()
	}
	block := make([]byte, roomMost/2) // from here on it is large
	for deadline := time.Now().Add(time.Minute); percent() != usual; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a large heap is collected at %d percent", percent())
		}
		runtime.GC()
	}
	runtime.KeepAlive(block)
}
