package copytree

import "testing"

func TestReserve(t *testing.T) {
	for size, want := range map[uint64]uint64{0: 0, 500 << 20: 25 << 20, 5 << 30: 256 << 20, 1 << 50: 256 << 20} {
		if got := reserve(size); got != want {
			t.Errorf("of %d bytes %d are left, want %d", size, got, want)
		}
	}
}
