package node

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/host"
)

var pairs = flag.Int("pairs", 60, "how many pods start with and without looking for others with their addresses")

// How a pod on a segment of the machine starts.
const (
	unasked    = "nobody is asked"
	conflict   = "who has the address"
	andGateway = "and whether the gateway is there"
)

const lan = `
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: lan}
spec: {subnet: 172.30.0.0/24, gateway: 172.30.0.3, ips: [172.30.0.101-172.30.0.120]}
`

const lanNetwork = `
---
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderMultusConfig
metadata: {name: %s, namespace: kube-system}
spec: {cniType: macvlan, macvlan: {master: [eth0]}, coordinator: {detectIPConflict: %t, detectGateway: %t}}
`

// BenchmarkDetection starts pods on a segment with and without asking who is
// there, in turn, each turn in another order. What a start grows by is the median
// of the differences within a turn.
func BenchmarkDetection(b *testing.B) {
	network := host.NewSwitch(b)
	one := network.Host("bench")
	network.Host("gateway") // 172.30.0.3
	c := cluster.On(b, one, cluster.Bin(b)).Start()
	modes := []struct {
		name, network     string
		conflict, gateway bool
	}{{unasked, "none", false, false}, {conflict, "asks", true, false}, {andGateway, "both", true, true}}
	manifest := lan
	for _, m := range modes {
		manifest += fmt.Sprintf(lanNetwork, m.network, m.conflict, m.gateway)
	}
	c.Apply(manifest)
	for _, m := range modes {
		c.Kubectl("wait", "--for=create", "-n", "kube-system", "net-attach-def/"+m.network)
	}
	c.Kubectl("wait", "--for=create", "sa/default")
	t := &bench{B: b, Cluster: c, watcher: watch(b, c.Client())}

	starts, more := map[string][]time.Duration{}, map[string][]time.Duration{}
	for i := range *pairs + 1 {
		turn := map[string]time.Duration{}
		for j := range modes {
			m := modes[(i+j)%len(modes)]
			p := pod(fmt.Sprintf("%s-%d", m.network, i), nil)
			p.Annotations = map[string]string{"v1.multus-cni.io/default-network": "kube-system/" + m.network, "ipam.spidernet.io/ippool": `{"ipv4": ["lan"]}`}
			turn[m.name] = t.await(1, t.create(p), ready)[0]
			t.settle()
			t.await(1, t.delete(p.Name), gone)
			t.settle()
		}
		for name, took := range turn {
			if i > 0 { // the first of all finds nothing in memory
				starts[name] = append(starts[name], took)
				more[name] = append(more[name], took-turn[unasked])
			}
		}
	}
	sample, list := figure.Sample{}, []figure.Row(nil)
	for _, m := range modes {
		for _, p := range []float64{50, 99} {
			row := fmt.Sprintf("create to Ready, %s: p%v", m.name, p)
			sample[row] = figure.Percentile(starts[m.name], p)
			list = append(list, figure.Row{Name: row, Unit: "ms", Less: true})
		}
		if m.name != unasked {
			row := "what a start grows by, " + m.name
			sample[row] = figure.Percentile(more[m.name], 50)
			list = append(list, figure.Row{Name: row, Unit: "ms", Less: true})
		}
	}
	fmt.Printf("%d turns, load %s\n%s\n", *pairs, figure.Load(), figure.Table{Rows: list, Servers: []string{"berth"}, Series: []figure.Series{{sample}}})
	b.ReportMetric(0, "ns/op")
}
