package stack

import "testing"

// deep needs some kilobytes of stack, a little at a time.
//
//go:noinline
func deep(n int) (sum byte) {
	var part [256]byte
	part[n%len(part)] = byte(n)
	if n == 0 {
		return part[0]
	}
	return deep(n-1) + part[n%len(part)]
}

func TestReserveIsHarmless(t *testing.T) {
	want := deep(60)
	got := make(chan byte)
	go func() { Reserve(); got <- deep(60) }()
	if g := <-got; g != want {
		t.Errorf("%d, want %d", g, want)
	}
	if n := testing.AllocsPerRun(100, Reserve); n > 0 {
		t.Errorf("it takes %v objects of the heap", n)
	}
}

func BenchmarkGoroutine(b *testing.B) {
	for name, begin := range map[string]func(){"as it starts": func() {}, "reserved": Reserve} {
		b.Run(name, func(b *testing.B) {
			done := make(chan byte)
			for b.Loop() {
				go func() { begin(); done <- deep(60) }()
				<-done
			}
		})
	}
}
