// Package drill says what can be broken on purpose, when it may be, and what was
// seen while it mended.
package drill

import (
	"fmt"
	"strings"
)

// Kind is one way to break something.
type Kind struct {
	Name string
	// Does is what it does to the set, in one sentence.
	Does string
	// Beyond is what else it touches, by its nature.
	Beyond string
	// Here tells that it kills processes of the machine that it is run on.
	Here bool
	// One tells that one pod is picked.
	One bool
	// Rolls tells that the set's pods are replaced by its controller.
	Rolls bool
}

// The kinds.
const (
	Container  = "container"
	Pod        = "pod"
	Delete     = "delete"
	Restart    = "restart"
	Berth      = "berth"
	Containerd = "containerd"
	Machine    = "machine"
	Image      = "image"
	BadImage   = "bad-image"
)

// NoImage cannot be pulled: names below .invalid are never found.
const NoImage = "drill.invalid/no-such-image:drill"

// All lists the kinds.
func All() []Kind {
	return []Kind{
		{Name: Container, Does: "kill -9 all processes of one container of one pod", Here: true, One: true},
		{Name: Pod, Does: "kill -9 all processes of one pod, its sandbox too", Here: true, One: true},
		{Name: Delete, Does: "delete one pod", One: true},
		{Name: Restart, Does: "delete each pod, in random order, the next when the set is whole again"},
		{
			Name: Berth, Does: "kill -9 berth on this machine; pods run on", Here: true,
			Beyond: "no pod of this machine can start or be reached by kubectl meanwhile, and the API of this server is away until what started berth starts it again",
		},
		{
			Name: Containerd, Does: "kill -9 containerd on this machine; pods run on", Here: true,
			Beyond: "no pod of this machine can start meanwhile",
		},
		{
			Name: Machine, Does: "kill -9 all at once on this machine: berth, containerd, shims and all pods", Here: true,
			Beyond: "all other pods of this machine are killed as well, and the API of this server is away until what started berth starts it again",
		},
		{Name: Image, Does: "roll the set to another image (--image), and leave it there", Rolls: true},
		{Name: BadImage, Does: "roll the set to an image that does not exist, and back when a pod waits for it", Rolls: true},
	}
}

// Named is the kind of that name.
func Named(name string) (Kind, error) {
	var names []string
	for _, k := range All() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("there is no drill %q; known are %s", name, strings.Join(names, ", "))
}
