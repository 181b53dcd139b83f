package proxy

import (
	"context"
	"flag"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/network/proxy"
)

var rounds = flag.Int("rounds", 7, "how often each way is measured")

const (
	stream = 600 * time.Millisecond // of each measurement
	asks   = 3000
	alone  = 7 // the Service whose only endpoint is the second pod
)

// BenchmarkPackets is what the rules of 10,000 Services cost: a stream and a
// ping-pong between two pods of a node without any rule, with them, and through
// a cluster IP; and on one veth pair between the two, without the node between.
// The ways are measured in turn, and compared within a round.
func BenchmarkPackets(b *testing.B) {
	client := services(b, 10_000, "10.42.0.2")
	s := slice(alone, "10.42.0.2")
	s.Endpoints = s.Endpoints[:1]
	check(b, client.Tracker().Update(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), s, s.Namespace))
	one, two := newPod(b, "one", "10.42.0.1"), newPod(b, "two", "10.42.0.2")
	node(b)
	direct(b, one, two)
	listen(b, two)
	for b.Loop() {
		var all []figure.Sample
		for range *rounds {
			s := figure.Sample{}
			measure(b, s, one, "direct", "10.99.0.2:8080")
			measure(b, s, one, "bare", "10.42.0.2:8080")
			stop := proxied(b, client)
			measure(b, s, one, "pod", "10.42.0.2:8080")
			measure(b, s, one, "service", clusterIP(alone)+":80")
			stop()
			check(b, proxy.Remove())
			for _, way := range []string{"pod", "service"} {
				s[way+"/bare-%"] = 100 * s[way+"-Mbit/s"] / s["bare-Mbit/s"]
				s["rtt-bare/"+way+"-%"] = 100 * s["bare-rtt-us"] / s[way+"-rtt-us"]
			}
			all = append(all, s)
		}
		for name := range all[0] {
			median, _ := figure.Series(all).Median(name)
			b.ReportMetric(median, name)
		}
		b.ReportMetric(0, "ns/op")
		b.Log("load ", loadavg())
	}
}

// proxied has the rules of all Services in force until stop.
func proxied(b *testing.B, client kubernetes.Interface) (stop func()) {
	b.Helper()
	f := informers.NewSharedInformerFactory(client, 0)
	p := made(b, f)
	watching, over := context.WithCancel(b.Context())
	f.StartWithContext(watching)
	f.WaitForCacheSync(watching.Done())
	end := run(b, p)
	return func() { end(); over(); f.Shutdown() }
}

// measure sends one way for a while, then asks and waits for the answer.
func measure(b *testing.B, s figure.Sample, from pod, way, to string) {
	b.Helper()
	conn := from.dial(b, to)
	defer conn.Close()
	_, err := conn.Write([]byte("s"))
	check(b, err)
	block, sent, began := make([]byte, 128<<10), 0, time.Now()
	for time.Since(began) < stream {
		n, err := conn.Write(block)
		check(b, err)
		sent += n
	}
	s[way+"-Mbit/s"] = float64(sent) * 8 / 1e6 / time.Since(began).Seconds()
	ping := from.dial(b, to)
	defer ping.Close()
	_, err = ping.Write([]byte("p"))
	check(b, err)
	took := make([]time.Duration, 0, asks)
	for range asks {
		began := time.Now()
		_, err := ping.Write(block[:1])
		check(b, err)
		_, err = io.ReadFull(ping, block[:1])
		check(b, err)
		took = append(took, time.Since(began))
	}
	s[way+"-rtt-us"] = 1000 * figure.Percentile(took, 50)
}

// listen swallows streams and answers pings.
func listen(b *testing.B, at pod) {
	b.Helper()
	at.in(b, func() {
		l, err := net.Listen("tcp", ":8080")
		check(b, err)
		b.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					kind := make([]byte, 1)
					if _, err := io.ReadFull(c, kind); err != nil {
						return
					}
					if kind[0] == 's' {
						_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 128<<10))
						return
					}
					for {
						if _, err := io.ReadFull(c, kind); err != nil {
							return
						}
						if _, err := c.Write(kind); err != nil {
							return
						}
					}
				}()
			}
		}()
	})
}

// pod is a network namespace with a wire to the node.
type pod struct {
	ns netns.NsHandle
	ip string
}

func newPod(b *testing.B, name, ip string) pod {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	check(b, err)
	defer old.Close()
	p := pod{ip: ip}
	p.ns, err = netns.New()
	check(b, err)
	check(b, netns.Set(old))
	b.Cleanup(func() { p.ns.Close() })
	check(b, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(p.ns))}))
	b.Cleanup(func() { check(b, netlink.LinkDel(link(b, name))) })
	out := link(b, name)
	check(b, netlink.LinkSetUp(out))
	check(b, netlink.RouteAdd(&netlink.Route{LinkIndex: out.Attrs().Index, Dst: host(ip), Scope: netlink.SCOPE_LINK}))
	check(b, os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/proxy_arp", []byte("1"), 0o644))
	p.in(b, func() {
		check(b, netlink.LinkSetUp(link(b, "lo")))
		eth := link(b, "eth0")
		check(b, netlink.LinkSetUp(eth))
		check(b, netlink.AddrAdd(eth, &netlink.Addr{IPNet: host(ip)}))
		gw := net.IPv4(169, 254, 1, 1)
		check(b, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: host(gw.String()), Scope: netlink.SCOPE_LINK}))
		check(b, netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: gw}))
		check(b, netlink.NeighSet(&netlink.Neigh{LinkIndex: eth.Attrs().Index, IP: gw, HardwareAddr: out.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT}))
	})
	return p
}

// node has this namespace forward between its pods.
func node(b *testing.B) {
	b.Helper()
	lo := link(b, "lo")
	check(b, netlink.LinkSetUp(lo))
	check(b, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
	_, services, err := net.ParseCIDR("10.43.0.0/16")
	check(b, err)
	check(b, netlink.RouteReplace(&netlink.Route{Dst: services, Type: 7})) // unreachable, unless a rule leads elsewhere
}

// direct is a veth pair between two pods, past the node.
func direct(b *testing.B, one, two pod) {
	b.Helper()
	one.in(b, func() {
		check(b, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "direct"}, PeerName: "direct", PeerNamespace: netlink.NsFd(int(two.ns))}))
	})
	for ip, p := range map[string]pod{"10.99.0.1/24": one, "10.99.0.2/24": two} {
		p.in(b, func() {
			l := link(b, "direct")
			a, err := netlink.ParseAddr(ip)
			check(b, err)
			check(b, netlink.AddrAdd(l, a))
			check(b, netlink.LinkSetUp(l))
		})
	}
}

// in runs f inside the pod's namespace.
func (p pod) in(b *testing.B, f func()) {
	b.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(p.ns); err != nil {
			b.Error(err)
			return
		}
		f()
	}()
	<-done
}

func (p pod) dial(b *testing.B, to string) (conn net.Conn) {
	b.Helper()
	p.in(b, func() {
		var err error
		if conn, err = net.DialTimeout("tcp", to, 30*time.Second); err != nil {
			b.Errorf("%s: %v", to, err)
		}
	})
	if conn == nil {
		b.Fatal("no connection")
	}
	return conn
}

func link(b *testing.B, name string) netlink.Link {
	b.Helper()
	l, err := netlink.LinkByName(name)
	check(b, err)
	return l
}

func host(ip string) *net.IPNet {
	return &net.IPNet{IP: net.ParseIP(ip).To4(), Mask: net.CIDRMask(32, 32)}
}
