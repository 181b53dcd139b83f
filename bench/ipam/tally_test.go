package ipam

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"

	"berth.dev/berth/bench/figure"
	"berth.dev/berth/internal/controller/all/alltest"
	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

const within = 10 * time.Minute

// tally is what the watches have shown. Only until changes it.
type tally struct {
	pods      <-chan watch.Event
	endpoints <-chan grantEvent

	bound, granted map[types.UID]time.Time
	ready          map[string]types.UID
	held           map[string]string // addresses by pod
	duplicates     int
}

// grantEvent is a change of a record, and when it was seen.
type grantEvent struct {
	kind   watch.EventType
	record *spiderpoolv2beta1.SpiderEndpoint
	at     time.Time
}

func follow(b *testing.B, c *alltest.Cluster) *tally {
	b.Helper()
	t := &tally{ready: map[string]types.UID{}, held: map[string]string{}}
	t.forget()
	pods, endpoints := make(chan watch.Event, 1<<16), make(chan grantEvent, 1<<16)
	t.pods, t.endpoints = pods, endpoints
	list, err := c.Client.CoreV1().Pods("default").List(b.Context(), metav1.ListOptions{})
	check(b, err)
	events(b, list.ResourceVersion, c.Client.CoreV1().Pods("default").Watch, func(e watch.Event) { pods <- e })
	events(b, list.ResourceVersion, c.Grants, func(e watch.Event) {
		if o, ok := e.Object.(*spiderpoolv2beta1.SpiderEndpoint); ok {
			endpoints <- grantEvent{e.Type, o, time.Now()}
		}
	})
	return t
}

// events calls each for what happens after a revision until the benchmark ends.
// A watch that the API server ends, because a busy machine reads it too slowly,
// goes on where it was.
func events(b *testing.B, after string, watches cache.WatchFuncWithContext, each func(watch.Event)) {
	b.Helper()
	w, err := toolswatch.NewRetryWatcherWithContext(b.Context(), after, &cache.ListWatch{WatchFuncWithContext: watches})
	check(b, err)
	b.Cleanup(w.Stop)
	go func() {
		for e := range w.ResultChan() {
			each(e)
		}
	}()
}

func (t *tally) forget() { t.bound, t.granted = map[types.UID]time.Time{}, map[types.UID]time.Time{} }

// took does something and says how long it is until done.
func (t *tally) took(b *testing.B, what string, do func(), done func() bool) time.Duration {
	b.Helper()
	began := time.Now()
	do()
	t.until(b, what, done)
	return time.Since(began)
}

func (t *tally) until(b *testing.B, what string, done func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), within)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case e := <-t.pods:
			if e.Type == watch.Error {
				b.Fatalf("the watch of the pods ended: %v", e.Object)
			}
			if pod, ok := e.Object.(*corev1.Pod); ok {
				t.pod(e.Type, pod)
			}
		case e := <-t.endpoints:
			t.endpoint(e)
		case <-again.C:
		case <-ctx.Done():
			b.Fatalf("waited in vain for %s: %d pods are ready, %d hold addresses", what, len(t.ready), len(t.held))
		}
	}
}

func (t *tally) pod(kind watch.EventType, pod *corev1.Pod) {
	if kind == watch.Deleted {
		if t.ready[pod.Name] == pod.UID {
			delete(t.ready, pod.Name)
		}
		return
	}
	if _, known := t.bound[pod.UID]; pod.Spec.NodeName != "" && !known {
		t.bound[pod.UID] = time.Now()
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
			t.ready[pod.Name] = pod.UID
		}
	}
}

func (t *tally) endpoint(e grantEvent) {
	if e.kind == watch.Deleted {
		delete(t.held, e.record.Name)
		return
	}
	uid := types.UID(e.record.Status.Current.UID)
	if _, known := t.granted[uid]; !known {
		t.granted[uid] = e.at
	}
	var all []string
	for _, ip := range e.record.Status.Current.IPs {
		all = append(all, ip.IPv4, ip.IPv6)
	}
	t.held[e.record.Name] = strings.Join(all, " ")
}

// again says that pods of these names, but not these ones, are Ready.
func (t *tally) again(pods map[string]types.UID) bool {
	for name, uid := range pods {
		if now, ok := t.ready[name]; !ok || now == uid {
			return false
		}
	}
	return true
}

// check counts addresses that two pods hold, and returns who holds what.
func (t *tally) check(b *testing.B) map[string]string {
	b.Helper()
	t.until(b, "all grants to be seen", func() bool {
		for name, uid := range t.ready {
			if _, ok := t.granted[uid]; !ok || t.held[name] == "" {
				return false
			}
		}
		return true
	})
	holder, out := map[string]string{}, map[string]string{}
	for name, all := range t.held {
		out[name] = all
		for _, ip := range strings.Fields(all) {
			if holder[ip] != "" {
				t.duplicates++
			}
			holder[ip] = name
		}
	}
	return out
}

// percentile is of the times from the node of a pod to its address; one that was
// seen first counts as none.
func (t *tally) percentile(p float64) float64 {
	var all []time.Duration
	for uid, at := range t.granted {
		if bound, ok := t.bound[uid]; ok {
			all = append(all, max(at.Sub(bound), 0))
		}
	}
	return figure.Percentile(all, p)
}

func podName(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: name}
}

func grant(b *testing.B, ledger *address.Ledger, pools map[string]*spiderpoolv2beta1.SpiderIPPool, name string, n int) {
	b.Helper()
	wish, err := address.Wish(map[string]string{address.PoolAnnotation: `{"ipv4":["pool"]}`}, nil, "eth0", 0)
	check(b, err)
	chosen, _ := address.Choose(wish[address.IPv4], address.IPv4, pools, address.Asker{Namespace: "default", Node: "n"})
	_, _, err = ledger.Grant(address.Ask{
		Pod: podName(name), UID: types.UID(fmt.Sprint(name, n)), Node: "n",
		Wants: []address.Want{{NIC: "eth0", Family: address.IPv4, Pools: chosen}},
	})
	check(b, err)
}
