// Package ipam measures addresses: how fast pods get them, and whether they are
// the same ones after a restart, from pools that have exactly as many as there
// are pods. Run it by hand: go test -run '^$' -bench . -benchtime 1x ./bench/ipam
package ipam

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"testing"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/base/memory"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

var (
	pods     = flag.Int("pods", 1000, "how many pods, and addresses of each IP version")
	alone    = flag.Int("alone", 100, "how many pods are restarted one after the other")
	machines = flag.Int("machines", 10, "how many toy nodes")
)

// BenchmarkPods makes sets on toy nodes through the real API server, its
// datastore and every loop, deletes all pods at once, and then the sets.
func BenchmarkPods(b *testing.B) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	memory.Pace(b.Context())
	for _, dual := range []bool{false, true} {
		for _, pools := range []int{1, 100} {
			name := fmt.Sprintf("pools=%d/families=%d", pools, map[bool]int{false: 1, true: 2}[dual])
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					through(b, pools, dual)
				}
			})
		}
	}
}

func through(b *testing.B, pools int, dual bool) {
	b.Helper()
	cidrs := []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}
	if dual {
		cidrs = append(cidrs, netip.MustParsePrefix("fd42::/64"))
	}
	own := &cost{}
	c := alltest.Start(b, alltest.Options{ClusterCIDRs: cidrs, Ends: true, Wrap: own.wrap, Request: own.request})
	c.Machines(b, *machines, nil)
	t := follow(b, c)
	t.until(b, "the service account", func() bool {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(b.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	sets := setsFor(b, c, pools, dual)

	before := processor()
	own.begin()
	created := t.took(b, "all pods to be Ready", func() {
		for _, set := range sets {
			_, err := c.Client.AppsV1().StatefulSets("default").Create(b.Context(), set, metav1.CreateOptions{})
			check(b, err)
		}
	}, func() bool { return len(t.ready) == *pods })
	cpu := processor() - before
	first := t.check(b)
	own.report(b)
	b.ReportMetric(float64(*pods)/created.Seconds(), "created/s")
	b.ReportMetric(t.percentile(99), "grant-p99-ms")
	b.ReportMetric(1000*cpu.Seconds()/float64(*pods), "cpu-ms/pod")

	t.forget()
	for i := range *alone {
		name := fmt.Sprintf("set-%d-0", i%len(sets))
		was := map[string]types.UID{name: t.ready[name]}
		deleteAll(b, c, was)
		t.until(b, name+" to be Ready again", func() bool { return t.again(was) })
	}
	b.ReportMetric(t.percentile(50), "alone-p50-ms")
	b.ReportMetric(t.percentile(99), "alone-p99-ms")

	t.forget()
	old := maps.Clone(t.ready)
	restarted := t.took(b, "all pods to be Ready again", func() {
		deleteAll(b, c, old)
	}, func() bool { return t.again(old) })
	moved := 0
	for name, ips := range t.check(b) {
		if first[name] != ips {
			moved++
		}
	}
	b.ReportMetric(float64(*pods)/restarted.Seconds(), "restarted/s")
	b.ReportMetric(t.percentile(99), "again-p99-ms")
	b.ReportMetric(float64(moved), "moved")

	deleted := t.took(b, "all addresses to be free", func() {
		check(b, c.Client.AppsV1().StatefulSets("default").DeleteCollection(b.Context(),
			metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}, metav1.ListOptions{}))
	}, func() bool { return len(t.held) == 0 && len(t.ready) == 0 })
	b.ReportMetric(float64(*pods)/deleted.Seconds(), "deleted/s")
	b.ReportMetric(float64(t.duplicates), "duplicates")
	b.ReportMetric(float64(len(t.held)), "leaked")
	b.ReportMetric(0, "ns/op")
	b.Log("load ", figure.Load())
	if moved+t.duplicates+len(t.held) > 0 {
		b.Errorf("%d pods moved, %d addresses were held twice, %d leaked", moved, t.duplicates, len(t.held))
	}
}

// deleteAll deletes pods, a few at a time, as the machine gets on with them: one
// request for all has to be done within a minute.
func deleteAll(b *testing.B, c *alltest.Cluster, pods map[string]types.UID) {
	b.Helper()
	var each errgroup.Group
	each.SetLimit(16)
	for name, uid := range pods {
		each.Go(func() error {
			return c.Client.CoreV1().Pods("default").Delete(b.Context(), name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		})
	}
	check(b, each.Wait())
}

// setsFor makes the pools, which share the addresses evenly, and describes as many
// sets as make use of them: one for each pool, but ten at least.
func setsFor(b *testing.B, c *alltest.Cluster, pools int, dual bool) []*appsv1.StatefulSet {
	b.Helper()
	nth := func(v6 bool, n int) string {
		if v6 {
			return netip.AddrFrom16([16]byte{0xfd, 6, 14: byte(n >> 8), 15: byte(n)}).String()
		}
		return netip.AddrFrom4([4]byte{10, 6, byte(n >> 8), byte(n)}).String()
	}
	each := *pods / pools
	wishes := make([]map[string][]string, pools)
	for i := range pools {
		wishes[i] = map[string][]string{}
		for _, v6 := range []bool{false, true} {
			if v6 && !dual {
				continue
			}
			family, subnet := "ipv4", "10.6.0.0/16"
			if v6 {
				family, subnet = "ipv6", "fd06::/64"
			}
			pool := &spiderpoolv2beta1.SpiderIPPool{
				TypeMeta:   metav1.TypeMeta{APIVersion: spiderpoolv2beta1.SchemeGroupVersion.String(), Kind: "SpiderIPPool"},
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", family, i)},
				Spec:       spiderpoolv2beta1.IPPoolSpec{Subnet: subnet, IPs: []string{nth(v6, 1+i*each) + "-" + nth(v6, (i+1)*each)}},
			}
			body, err := json.Marshal(pool)
			check(b, err)
			check(b, c.Client.Discovery().RESTClient().Post().AbsPath("/apis/spiderpool.spidernet.io/v2beta1/spiderippools").Body(body).
				SetHeader("Content-Type", "application/json").Do(b.Context()).Error())
			wishes[i][family] = []string{pool.Name}
		}
	}
	n := max(pools, 10)
	sets := make([]*appsv1.StatefulSet, n)
	for i := range sets {
		wish, err := json.Marshal(wishes[i%pools])
		check(b, err)
		labels := map[string]string{"set": fmt.Sprint(i)}
		sets[i] = &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("set-%d", i)},
			Spec: appsv1.StatefulSetSpec{
				Replicas: ptr.To(int32(*pods / n)), PodManagementPolicy: appsv1.ParallelPodManagement,
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{address.PoolAnnotation: string(wish)}},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c:1"}}},
				},
			},
		}
	}
	return sets
}

// BenchmarkGrant is the decision alone: choosing the pool, and a grant and a
// release while all but one of a thousand addresses are held, whatever the size
// of the pool.
func BenchmarkGrant(b *testing.B) {
	for _, bits := range []int{22, 16, 10} {
		b.Run(fmt.Sprintf("pool=10.64.0.0/%d", bits), func(b *testing.B) {
			subnet := netip.MustParsePrefix(fmt.Sprintf("10.64.0.0/%d", bits))
			spec := &spiderpoolv2beta1.SpiderIPPool{Spec: spiderpoolv2beta1.IPPoolSpec{Subnet: subnet.String(), IPs: []string{address.Usable(subnet).String()}}}
			spec.Name = "pool"
			pool, err := address.ParsePool(spec.Name, 0, subnet.String(), spec.Spec.IPs, nil, "")
			check(b, err)
			ledger := address.NewLedger()
			ledger.SetPool(pool)
			pools := map[string]*spiderpoolv2beta1.SpiderIPPool{spec.Name: spec}
			for i := range *pods - 1 {
				grant(b, ledger, pools, fmt.Sprint("held-", i), 0)
			}
			n := 0
			for b.Loop() {
				n++
				grant(b, ledger, pools, "one", n)
				ledger.Release(podName("one"))
			}
		})
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
