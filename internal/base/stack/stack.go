// Package stack spares goroutines the growing of their stacks.
package stack

import "runtime"

// reserved is what a request needs of a stack, on the way to its object and back.
const reserved = 20 << 10

// Reserve makes room for deep calls on the stack of a goroutine that has just
// begun. A stack starts with two kilobytes and doubles whenever it is full, each
// time with a copy of all that is on it; a request, which runs on three
// goroutines of its own, pays for that nine times. At the beginning there is
// next to nothing to copy, and one step is enough.
//
//go:noinline
func Reserve() {
	var room [reserved]byte
	runtime.KeepAlive(&room)
}
