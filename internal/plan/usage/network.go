package usage

import (
	"slices"
	"strconv"
	"strings"
)

// Interface is what went over one network interface.
type Interface struct {
	Name           string
	Received, Sent Traffic
}

// Traffic is what went one way.
type Traffic struct{ Bytes, Packets, Errors, Dropped uint64 }

// Inside is what is to be known of a pod that runs.
type Inside struct {
	// Cgroup is the pod's cgroup, with one for each container by its id in it.
	Cgroup, Sandbox string
	// Interfaces are those of its own; a pod on the node's network has none.
	Interfaces []Interface
}

// passing are the beginnings of the names of interfaces that upstream does not
// count: what goes over them is counted elsewhere.
var passing = []string{"lo", "veth", "docker", "nerdctl"}

// Interfaces reads the text of /proc/PID/net/dev. Lines that it does not
// understand are left out.
func Interfaces(text []byte) []Interface {
	var out []Interface
	for line := range strings.Lines(string(text)) {
		name, rest, found := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !found || slices.ContainsFunc(passing, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		var n []uint64
		for _, field := range strings.Fields(rest) {
			value, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				break
			}
			n = append(n, value)
		}
		if name == "" || len(n) < 12 {
			continue
		}
		// Eight columns each way: bytes, packets, errors, dropped and four more.
		out = append(out, Interface{name, Traffic{n[0], n[1], n[2], n[3]}, Traffic{n[8], n[9], n[10], n[11]}})
	}
	return out
}
