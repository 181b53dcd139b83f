//go:build !race

package cni

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/apiserver/apitest"
	"berth.dev/berth/internal/apiserver/secure"
	"berth.dev/berth/internal/controller/host"
	"berth.dev/berth/internal/ipam"
	"berth.dev/berth/internal/pki"
)

// TestGrantsReachTheNode measures the way of an address through the real API
// server with its rights: from the pod's creation on a node, over the ipam
// loop, to the watch with the node's identity.
func TestGrantsReachTheNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server")
	}
	set, err := pki.Ensure(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeName: "n1", ServiceIPs: []net.IP{net.IPv4(10, 43, 0, 1)}})
	check(t, err)
	env := apitest.Start(t, func(c *apiserver.Config) { check(t, secure.Apply(c, secure.Options{PKI: set})) })
	l, err := ipam.Loop(ipam.Config{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	ready := make(chan struct{})
	running.Go(func() {
		check(t, host.New(host.Config{RESTConfig: env.As, Logger: slog.New(slog.DiscardHandler)}, l).Run(ctx, func() { close(ready) }))
	})
	<-ready
	g := newGrants()
	watch, err := g.follow(env.As("system:node:n1", "system:nodes"), "n1")
	check(t, err)
	running.Go(func() { watch(ctx) })
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	for {
		_, err = env.Client.CoreV1().ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{})
		if !apierrors.IsNotFound(err) { // until the namespace exists
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check(t, err)

	start := func(name string) time.Duration {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
			NodeName: "n1", AutomountServiceAccountToken: ptr.To(false),
			Containers: []corev1.Container{{Name: "c", Image: "i"}},
		}}
		p, err := env.Client.CoreV1().Pods("default").Create(ctx, p, metav1.CreateOptions{})
		if err != nil {
			t.Error(err)
			return 0
		}
		begin := time.Now()
		within, stop := context.WithTimeout(ctx, 20*time.Second)
		defer stop()
		_, err = g.wait(within, pod{types.NamespacedName{Namespace: "default", Name: name}, string(p.UID)})
		check(t, err)
		return time.Since(begin)
	}
	start("first") // the first one waits for the caches of both sides
	var one []time.Duration
	for i := range 30 {
		one = append(one, start(fmt.Sprint("web-", i)))
	}
	for i := range 30 { // re-created under their names
		check(t, env.Client.CoreV1().Pods("default").Delete(ctx, fmt.Sprint("web-", i), metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
	}
	before, begin := cpu(), time.Now()
	var many sync.WaitGroup
	for i := range 300 {
		many.Go(func() { start(fmt.Sprint("p-", i)) })
	}
	many.Wait()
	took, used := time.Since(begin), cpu()-before
	slices.Sort(one)
	t.Logf("a pod's creation to its grant at the node: median %s, worst %s; 300 at once: %s, CPU of everything %s a pod",
		one[len(one)/2], one[len(one)-1], took, used/300)
	seen := map[string]string{}
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, e := range g.byPod {
		ip := e.Status.Current.IPs[0].IPv4
		if other := seen[ip]; other != "" {
			t.Errorf("%s is held by %s and %s", ip, other, name)
		}
		seen[ip] = name.String()
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
