package drills

import (
	"context"
	"slices"
	"testing"
	"time"

	"berth.dev/berth/internal/plan/drill"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
	"berth.dev/berth/test/e2e/systems"
)

// every system that has a client which counts.
var every = []systems.System{
	systems.Redis, systems.Etcd, systems.PostgreSQL, systems.ZooKeeper, systems.MySQL, systems.RabbitMQ,
}

// All drills on all systems, on one machine; the table goes to docs/reliability.md.
func TestDrills(t *testing.T) {
	if !*all {
		t.Skip("make drills runs it")
	}
	for _, s := range every {
		t.Run(s.Name, func(t *testing.T) {
			e := up(t, s, true)
			writer := e.Pods(e.C)[0] // the primary, where there is one
			e.do(drill.Container, "--pod", writer)
			e.do(drill.Pod, "--pod", writer)
			e.do(drill.Delete, "--pod", writer)
			e.do(drill.Berth)
			e.do(drill.Containerd)
			e.do(drill.Machine)
			e.drill("all restarted in random order", e.everything)
			e.drill("image upgraded", e.upgrade)
			e.do(drill.BadImage)
			e.drill("volume full", e.full)
		})
	}
}

// full fills the disk until writes are refused, or many were taken all the same, and
// gives the space back.
func (e *exercise) full() {
	e.T.Helper()
	free := e.fill()
	ctx, cancel := context.WithTimeout(e.T.Context(), systems.Limit)
	defer cancel()
	refused, err := e.Load.Refused(ctx, 5, 500)
	free()
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Logf("%s refused %d writes while its disk was full", e.Name, refused)
	if e.Freed != nil {
		e.Freed(e.C)
	}
}

// A node's wire is pulled until the cluster takes the node for lost, and then put
// back.
func TestCutNode(t *testing.T) {
	if !*all {
		t.Skip("make drills runs it")
	}
	for _, s := range every {
		t.Run(s.Name, func(t *testing.T) {
			network := host.NewSwitch(t)
			hosts := []*host.Host{network.Host("one"), network.Host("two"), network.Host("three")}
			c := cluster.On(t, hosts[0], cluster.Bin(t))
			if s.Prepare != nil {
				s.Prepare(t, c)
			}
			c.Start()
			ready := func(node string) string {
				return c.Kubectl("get", "node", node, "--ignore-not-found", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
			}
			for _, h := range hosts[1:] {
				a := c.Agent(t, h)
				a.Launch()
				c.Eventually(systems.Limit, "True", func() string { return ready(h.Name) })
				for _, archive := range s.Build(t) {
					a.Import(archive)
				}
			}
			if s.Primary { // the one that is cut off shall be its node, and not the server's
				c.Kubectl("cordon", "one")
			}
			e := &exercise{Running: s.Run(t, c)}
			e.Begin()
			c.Kubectl("uncordon", "one")
			nodes := e.nodes()
			cut := slices.IndexFunc(hosts, func(h *host.Host) bool {
				if s.Primary {
					return h.Name == nodes[e.Pods(e.C)[0]]
				}
				return h.Name != "one" && slices.Contains(values(nodes), h.Name)
			})
			if cut < 0 {
				t.Fatalf("no pod runs on another machine: %v", nodes)
			}
			t.Logf("pods on %d nodes: %v; %s is cut off", spread(nodes), nodes, hosts[cut].Name)
			e.drill("network of a node cut", func() {
				network.Unplug(hosts[cut])
				c.Eventually(systems.Limit, "Unknown", func() string { return ready(hosts[cut].Name) })
				network.Plug(hosts[cut])
				began := time.Now()
				c.Eventually(systems.Limit, "True", func() string { return ready(hosts[cut].Name) })
				t.Logf("the node is Ready %s after its wire is back", time.Since(began).Round(time.Millisecond))
			})
		})
	}
}

func values(m map[string]string) []string {
	var all []string
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
