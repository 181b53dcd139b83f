package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func parse(cidrs ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range cidrs {
		out = append(out, netip.MustParsePrefix(c))
	}
	return out
}

// TestChaos lets two sets live in a pool of exactly their size while caches
// lag, writes fail before or after they took effect and the process dies
// between any two writes. At no moment may two pods hold one address or a pod
// move; at rest every pod has its address and nothing leaks.
func TestChaos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, "10.42.0.0/29") // five usable addresses
		sets := []*appsv1.StatefulSet{set("a", 3), set("b", 2)}
		for _, s := range sets {
			w.add(s)
		}
		first := map[string]string{} // address of a name while its set wants it
		fault := func() error {
			switch rapid.IntRange(0, 12).Draw(t, "write") {
			case 0:
				return errors.New("connection lost")
			case 1:
				w.start()
				return errors.New("died")
			}
			return nil
		}
		w.broken, w.after = fault, fault
		for range rapid.IntRange(10, 80).Draw(t, "steps") {
			s := sets[rapid.IntRange(0, 1).Draw(t, "set")]
			name := fmt.Sprint(s.Name, "-", rapid.IntRange(0, 2).Draw(t, "ordinal"))
			pod := podOf(s, name)
			live := w.live[keyOf(s)].(*appsv1.StatefulSet)
			exists := w.live[keyOf(pod)] != nil
			switch rapid.IntRange(0, 7).Draw(t, "op") {
			case 0, 1:
				if !exists && setOf(pod).Ordinal < int(*live.Spec.Replicas) {
					w.add(pod)
				}
			case 2:
				w.remove(pod)
			case 3: // scale down in order and up again
				n := rapid.Int32Range(0, map[string]int32{"a": 3, "b": 2}[s.Name]).Draw(t, "replicas")
				w.edit(s, scale(n))
				for i := int(n); i < 3; i++ {
					w.remove(podOf(s, fmt.Sprint(s.Name, "-", i)))
					delete(first, fmt.Sprint(s.Name, "-", i))
				}
			case 4:
				w.start()
			case 5:
				w.see(rapid.IntRange(0, 3).Draw(t, "see"))
			default:
				w.step()
			}
			unique(t, w)
			sticky(t, w, first)
		}
		w.broken, w.after = nil, nil
		for range 5 {
			w.pass(time.Minute)
		}
		unique(t, w)
		sticky(t, w, first)
		rest(t, w, sets)
	})
}

func unique(t *rapid.T, w *world) {
	holder := map[string]string{}
	for _, o := range w.live {
		e, ok := o.(*spiderpoolv2beta1.SpiderEndpoint)
		if !ok {
			continue
		}
		for _, ip := range e.Status.Current.IPs {
			if other := holder[ip.IPv4]; other != "" {
				t.Fatalf("%s is held by %s and %s", ip.IPv4, other, e.Name)
			}
			holder[ip.IPv4] = e.Name
		}
	}
}

func sticky(t *rapid.T, w *world, first map[string]string) {
	for _, o := range w.live {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			continue
		}
		e := w.endpoint(pod.Name)
		if e == nil || e.Status.Current.UID != string(pod.UID) {
			continue
		}
		if was := first[pod.Name]; was != "" && was != w.ip(pod.Name) {
			t.Fatalf("%s moved from %s to %s", pod.Name, was, w.ip(pod.Name))
		}
		first[pod.Name] = w.ip(pod.Name)
	}
}

func rest(t *rapid.T, w *world, sets []*appsv1.StatefulSet) {
	wanted := map[types.NamespacedName]bool{}
	for _, s := range sets {
		for i := range int(*w.live[keyOf(s)].(*appsv1.StatefulSet).Spec.Replicas) {
			wanted[types.NamespacedName{Namespace: "default", Name: fmt.Sprint(s.Name, "-", i)}] = true
		}
	}
	held := 0
	for _, o := range w.live {
		switch o := o.(type) {
		case *corev1.Pod:
			if e := w.endpoint(o.Name); e == nil || e.Status.Current.UID != string(o.UID) {
				t.Fatalf("pod %s waits for ever: %+v, events %q", o.Name, e, w.events)
			}
		case *spiderpoolv2beta1.SpiderEndpoint:
			held++
			if !wanted[client.ObjectKeyFromObject(o)] {
				t.Fatalf("%s leaked", o.Name)
			}
		}
	}
	if s := w.poolStatus("default-ipv4"); int(*s.AllocatedIPCount) != held {
		t.Fatalf("the pool says %d of %d", *s.AllocatedIPCount, held)
	}
}
