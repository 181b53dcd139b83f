package usage

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    9999      99    0    0    0     0          0         0     9999      99    0    0    0     0       0          0
  eth0: 1000 10 1 2 3 4 5 6 2000 20 3 4 0 0 0 0
  net1:7 1 0 0 0 0 0 0 8 2 0 0 0 0 0 0
veth0123456789: 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5
broken: 1 2 x
`

func TestInterfaces(t *testing.T) {
	want := []Interface{
		{"eth0", Traffic{1000, 10, 1, 2}, Traffic{2000, 20, 3, 4}},
		{"net1", Traffic{7, 1, 0, 0}, Traffic{8, 2, 0, 0}},
	}
	if diff := cmp.Diff(want, Interfaces([]byte(netDev))); diff != "" {
		t.Error(diff)
	}
}

// What is written is what Prometheus reads, by the labels that dashboards know.
func TestAdvised(t *testing.T) {
	web := Origin{Container{"default", "web-0", "nginx"}, "/kubepods/pod1/c1", "c1", "nginx:1"}
	sandbox := Origin{Container{"default", "web-0", ""}, "/kubepods/pod1/s1", "s1", ""}
	a := &Advised{
		Node: Counters{Time: t0, CPU: 90 * time.Second, Memory: 5 << 30}, Cores: 2, Memory: 8 << 30, Interfaces: Interfaces([]byte(netDev))[:1],
		Containers: []AdvisedContainer{
			{
				Origin: web, Counters: Counters{Start: t0.Add(-time.Minute), Time: t0, CPU: 1500 * time.Millisecond, Memory: 7 << 20}, Used: 9 << 20, Resident: 3 << 20,
				Throttled: &Throttled{100, 7, 250 * time.Millisecond}, Files: &Files{4096, 1 << 40, 1000, 900}, Spec: Spec{Shares: 102, Period: 100000, Quota: 50000, Memory: 64 << 20},
			},
			{Origin: Origin{Container: Container{"default", "web-1", "nginx"}, ID: "c2"}, Counters: Counters{Time: t0}, Spec: Spec{Shares: 2, Period: 100000}},
		},
		Pods: []AdvisedPod{{sandbox, Interfaces([]byte(netDev))}},
	}
	text := a.Text()
	for _, want := range []string{
		`container_cpu_usage_seconds_total{container="",cpu="total",id="/",image="",name="",namespace="",pod=""} 90 1800000000000`,
		`container_cpu_usage_seconds_total{container="nginx",cpu="total",id="/kubepods/pod1/c1",image="nginx:1",name="c1",namespace="default",pod="web-0"} 1.5 1800000000000`,
		`container_cpu_cfs_throttled_seconds_total{container="nginx",id="/kubepods/pod1/c1",image="nginx:1",name="c1",namespace="default",pod="web-0"} 0.25 1800000000000`,
		`container_memory_working_set_bytes{container="nginx",id="/kubepods/pod1/c1",image="nginx:1",name="c1",namespace="default",pod="web-0"} 7340032 1800000000000`,
		`container_fs_usage_bytes{container="nginx",device="",id="/kubepods/pod1/c1",image="nginx:1",name="c1",namespace="default",pod="web-0"} 4096 1800000000000`,
		`container_network_receive_bytes_total{container="",id="/",image="",interface="eth0",name="",namespace="",pod=""} 1000 1800000000000`,
		`container_network_transmit_packets_dropped_total{container="",id="/kubepods/pod1/s1",image="",interface="eth0",name="s1",namespace="default",pod="web-0"} 4 1800000000000`,
		`container_network_receive_bytes_total{container="",id="/kubepods/pod1/s1",image="",interface="net1",name="s1",namespace="default",pod="web-0"} 7 1800000000000`,
		`container_spec_cpu_quota{container="nginx",id="/kubepods/pod1/c1",image="nginx:1",name="c1",namespace="default",pod="web-0"} 50000 1800000000000`,
		`machine_memory_bytes 8589934592`,
	} {
		if !bytes.Contains(text, []byte(want+"\n")) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(string(text), "\ncontainer_spec_cpu_quota{"); n != 1 {
		t.Errorf("%d quotas", n)
	}
	line := regexp.MustCompile(`^([a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.]+( [0-9]{13})?|# (HELP|TYPE) [a-z_]+ .+)\n$`)
	for l := range strings.Lines(string(text)) {
		if !line.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
}
