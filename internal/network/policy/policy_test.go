package policy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/network/nettest"
	"berth.dev/berth/internal/network/policy"
)

func TestMain(m *testing.M) { nettest.Main(m) }

const nodeIP = "172.31.0.1"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// space is a pod's network namespace with its wire.
type space struct {
	fd int
	ip netip.Addr
}

func newSpace(t *testing.T, id string, ip string) space {
	t.Helper()
	fds := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd := -1
		if unix.Unshare(unix.CLONE_NEWNET) == nil {
			fd, _ = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		fds <- fd
	}()
	s := space{<-fds, netip.MustParseAddr(ip)}
	if s.fd < 0 {
		t.Fatal("no network namespace")
	}
	w := link.Wire{Host: link.HostName(id, "eth0"), Pod: "eth0", NetNS: s.fd, Owner: "prod/" + id, MTU: 1500, Addrs: []netip.Addr{s.ip}, Sources: []netip.Addr{netip.MustParseAddr(nodeIP)}}
	check(t, link.Attach(w))
	t.Cleanup(func() { check(t, link.Detach(w.Host)); unix.Close(s.fd) })
	return s
}

func (s space) in(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(s.fd, unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	check(t, <-done)
}

// serve takes connections on a port of the pod.
func (s space) serve(t *testing.T, port int) {
	s.in(t, func() {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
	})
}

// reaches says whether a connection is made; a dropped one is not refused.
func reaches(to netip.Addr, port int, patience time.Duration) bool {
	c, err := net.DialTimeout("tcp4", net.JoinHostPort(to.String(), fmt.Sprint(port)), patience)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so after a minute: %s", what)
		}
	}
}

func pod(name, ip string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name, UID: types.UID(name), Labels: map[string]string{"app": name}}, Spec: corev1.PodSpec{NodeName: "here"}}
	if ip != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	return p
}

// host prepares this namespace as a node.
func host(t *testing.T) {
	t.Helper()
	if !nettest.Inside() {
		t.Skip("needs root")
	}
	lo, err := netlink.LinkByName("lo")
	check(t, err)
	check(t, netlink.LinkSetUp(lo))
	own, err := netlink.ParseAddr(nodeIP + "/32")
	check(t, err)
	check(t, netlink.AddrReplace(lo, own))
	check(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
}

// start enforces what the API says until the test ends.
func start(t *testing.T, api *fake.Clientset) *policy.Enforcer {
	t.Helper()
	f := informers.NewSharedInformerFactory(api, 0)
	e, err := policy.New(policy.Config{Informers: f, Client: api, NodeName: "here", Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	f.Start(ctx.Done())
	go func() { ended <- e.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
		f.Shutdown()
		check(t, policy.Remove())
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("ended: %v", err)
	}
	return e
}

// Two pods of one node, with a policy for one of them that lets the other in;
// the policy changes, labels change, and all of it goes.
func TestPacketsMeetThePolicies(t *testing.T) {
	host(t)
	server, client := newSpace(t, "server", "10.42.0.1"), newSpace(t, "client", "10.42.0.2")
	server.serve(t, 80)
	client.serve(t, 80)
	nodeListener, err := net.Listen("tcp4", nodeIP+":9000")
	check(t, err)
	defer nodeListener.Close()
	selector := func(app string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	friends := selector("friend")
	np := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "np"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: selector("server"), Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &friends}}}}},
	}
	api := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}, pod("server", ""), pod("client", "10.42.0.2"), np)
	e := start(t, api)
	from := func(s space, to netip.Addr, port int, patience time.Duration) (ok bool) {
		s.in(t, func() { ok = reaches(to, port, patience) })
		return ok
	}
	const long, short = 30 * time.Second, 300 * time.Millisecond

	// Its address is known before the API knows it.
	check(t, e.Attach(t.Context(), types.NamespacedName{Namespace: "prod", Name: "server"}, "server", []netip.Addr{server.ip}))
	if from(client, server.ip, 80, short) {
		t.Error("a pod that is attached is not guarded")
	}
	if !reaches(server.ip, 80, long) {
		t.Error("the node itself is kept out")
	}
	if !from(server, server.ip, 80, long) {
		t.Error("a pod is cut off from itself")
	}
	if !from(server, client.ip, 80, long) {
		t.Error("a pod without a policy is kept from something")
	}
	// A pod of another UID is another pod: nobody knows that one yet.
	brief, stop := context.WithTimeout(t.Context(), short)
	defer stop()
	if err := e.Attach(brief, types.NamespacedName{Namespace: "prod", Name: "client"}, "other", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an unknown pod is attached: %v", err)
	}

	// A label makes a friend.
	friend := pod("client", "10.42.0.2")
	friend.Labels["app"] = "friend"
	_, err = api.CoreV1().Pods("prod").Update(t.Context(), friend, metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "a friend is let in", func() bool { return from(client, server.ip, 80, short) })

	// Now it may not even call back.
	next := np.DeepCopy()
	next.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	_, err = api.NetworkingV1().NetworkPolicies("prod").Update(t.Context(), next, metav1.UpdateOptions{})
	check(t, err)
	eventually(t, "the pod may not send", func() bool { return !from(server, client.ip, 80, short) })
	if from(server, netip.MustParseAddr(nodeIP), 9000, short) {
		t.Error("it may still send to the node")
	}
	if !from(client, server.ip, 80, long) {
		t.Error("answers are not let through")
	}
	check(t, api.NetworkingV1().NetworkPolicies("prod").Delete(t.Context(), "np", metav1.DeleteOptions{}))
	eventually(t, "all is open again", func() bool { return from(server, client.ip, 80, short) })
	if !from(server, netip.MustParseAddr(nodeIP), 9000, long) {
		t.Error("the node is not reached again")
	}
}
