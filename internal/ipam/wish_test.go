package ipam

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func pool(name, subnet string, ips ...string) *spiderpoolv2beta1.SpiderIPPool {
	return &spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spiderpoolv2beta1.IPPoolSpec{Subnet: subnet, IPs: ips},
	}
}

func annotated(p *corev1.Pod, pairs ...string) *corev1.Pod {
	for i := 0; i < len(pairs); i += 2 {
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, pairs[i], pairs[i+1])
	}
	return p
}

func TestPoolsByAnnotation(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(pool("a", "10.6.0.0/16", "10.6.0.1-10.6.0.9"))
	b := pool("b", "10.7.0.0/16", "10.7.0.1")
	b.Spec.Gateway, b.Spec.Routes = ptr.To("10.7.0.254"), []spiderpoolv2beta1.Route{{Dst: "10.8.0.0/16", Gw: "10.7.0.2"}}
	w.add(b)
	web := set("web", 3)
	w.add(web)
	for _, name := range []string{"web-0", "web-1"} {
		w.add(annotated(podOf(web, name), address.PoolAnnotation, `{"ipv4":["b","a"]}`, address.RoutesAnnotation, `[{"dst":"10.9.0.0/16","gw":"10.7.0.3"}]`))
	}
	w.add(podOf(nil, "plain"))
	w.settle()
	if w.ip("web-0") != "10.7.0.1/16" || w.ip("web-1") != "10.6.0.1/16" || w.ip("plain") != "10.42.0.2/16" {
		t.Error(w.ip("web-0"), w.ip("web-1"), w.ip("plain"))
	}
	if ip := w.endpoint("web-0").Status.Current.IPs[0]; ip.IPv4Gateway != "10.7.0.254" || len(ip.Routes) != 2 {
		t.Errorf("%+v", ip)
	}
	// Another list moves the address when the pod is made again, not before.
	w.edit(w.live[keyOf(podOf(nil, "web-0"))], func(o client.Object) {
		o.SetAnnotations(map[string]string{address.PoolAnnotation: `{"ipv4":["a"]}`})
	})
	w.settle()
	if w.ip("web-0") != "10.7.0.1/16" {
		t.Error("moved while it ran:", w.ip("web-0"))
	}
	w.remove(podOf(nil, "web-0"))
	w.add(annotated(podOf(web, "web-0"), address.PoolAnnotation, `{"ipv4":["a"]}`))
	w.settle()
	if !strings.HasPrefix(w.ip("web-0"), "10.6.0.") {
		t.Error("not moved:", w.ip("web-0"))
	}
}

func TestWhatCannotBeGrantedIsTold(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	p := pool("mine", "10.6.0.0/16", "10.6.0.1")
	p.Spec.NamespaceName = []string{"other"}
	w.add(p)
	w.add(annotated(podOf(nil, "wrong"), address.PoolAnnotation, "mine"))
	w.add(annotated(podOf(nil, "refused"), address.PoolAnnotation, `{"ipv4":["mine"]}`))
	w.add(annotated(podOf(nil, "underlay"), "v1.multus-cni.io/default-network", "kube-system/macvlan-ens192"))
	w.add(annotated(podOf(nil, "six"), address.PoolAnnotation, `{"ipv6":["mine"]}`))
	w.settle()
	told := strings.Join(w.events, "\n")
	for _, want := range []string{
		"wrong FailedAllocateIP: annotation ipam.spidernet.io/ippool: wrong input: invalid character 'm'",
		"refused FailedAllocateIP: no IPPool available for IPv4; not to be used: IPPool mine: its namespaceName does not name namespace default",
		"underlay FailedAllocateIP: interface eth0: there is no NetworkAttachmentDefinition kube-system/macvlan-ens192; the pod waits until that is mended",
		"six FailedAllocateIP: annotations ipam.spidernet.io/ippool and",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in\n%s", want, told)
		}
	}
	w.edit(p, func(o client.Object) { o.(*spiderpoolv2beta1.SpiderIPPool).Spec.NamespaceName = nil })
	w.edit(w.live[keyOf(podOf(nil, "wrong"))], func(o client.Object) { o.SetAnnotations(nil) })
	w.settle()
	if w.ip("refused") != "10.6.0.1/16" || w.ip("wrong") == "" {
		t.Error(w.ip("refused"), w.ip("wrong"))
	}
}

func TestNamespaceNamesPoolsAndReservedAddressesAreLeft(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(pool("a", "10.6.0.0/16", "10.6.0.1-10.6.0.2"))
	w.add(&spiderpoolv2beta1.SpiderReservedIP{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: spiderpoolv2beta1.ReservedIPSpec{IPs: []string{"10.6.0.1"}}})
	w.edit(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, func(o client.Object) {
		o.SetAnnotations(map[string]string{address.NamespaceIPv4Pools: `["a"]`})
	})
	w.settle()
	w.add(podOf(nil, "one"))
	w.add(podOf(nil, "two"))
	w.settle()
	if w.ip("one") != "10.6.0.2/16" || w.ip("two") != "" {
		t.Error(w.ip("one"), w.ip("two"))
	}
	w.remove(&spiderpoolv2beta1.SpiderReservedIP{ObjectMeta: metav1.ObjectMeta{Name: "r"}})
	w.settle()
	if w.ip("two") != "10.6.0.1/16" {
		t.Error(w.ip("two"))
	}
}

func TestGivenAddresses(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	web := set("web", 3)
	web.Annotations = map[string]string{address.AddressesAnnotation: "10.42.0.50-10.42.0.51"}
	w.add(web)
	for _, name := range []string{"web-2", "web-1", "web-0"} {
		w.add(podOf(web, name))
	}
	w.settle()
	if w.ip("web-0") != "10.42.0.50/16" || w.ip("web-1") != "10.42.0.51/16" || w.ip("web-2") != "10.42.0.2/16" {
		t.Error(w.ip("web-0"), w.ip("web-1"), w.ip("web-2"))
	}
	w.add(annotated(podOf(nil, "late"), address.AddressesAnnotation, "late=10.42.0.50"))
	w.settle()
	if told := strings.Join(w.events, "\n"); !strings.Contains(told, "address 10.42.0.50 of IPPool default-ipv4 is held by pod default/web-0") {
		t.Error(told)
	}
	w.remove(web)
	w.remove(podOf(nil, "web-0"))
	w.settle()
	if w.ip("late") != "10.42.0.50/16" {
		t.Error(w.ip("late"))
	}
}

func TestRetainedOverScaleDownDeletionAndRestart(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	web := set("web", 2)
	web.Annotations = map[string]string{address.RetentionAnnotation: "{whenScaled: Retain, whenDeleted: Retain, retainFor: 10m}"}
	w.add(web)
	w.add(podOf(web, "web-0"))
	w.add(podOf(web, "web-1"))
	w.settle()
	zero, one := w.ip("web-0"), w.ip("web-1")
	w.edit(web, func(o client.Object) { o.(*appsv1.StatefulSet).Spec.Replicas = ptr.To[int32](1) })
	w.remove(podOf(nil, "web-1"))
	w.settle()
	w.pass(6 * time.Minute)
	w.start() // the time goes on over a restart
	w.settle()
	if w.ip("web-1") != one {
		t.Fatal("lost when scaled down")
	}
	w.remove(w.live[keyOf(web)])
	w.remove(podOf(nil, "web-0"))
	w.settle()
	w.pass(4 * time.Minute)
	if w.ip("web-1") != "" || w.ip("web-0") != zero {
		t.Errorf("after ten minutes %q, after four %q", w.ip("web-1"), w.ip("web-0"))
	}
	again := set("web", 1)
	w.add(again)
	w.add(podOf(again, "web-0"))
	w.settle()
	if w.ip("web-0") != zero || w.endpoint("web-0").Annotations[RetainedSince] != "" {
		t.Error("the next set of the name has", w.ip("web-0"), "not", zero)
	}
	// It has not asked for anything.
	w.remove(again)
	w.remove(podOf(nil, "web-0"))
	w.settle()
	if w.endpoint("web-0") != nil {
		t.Error("kept for a set that did not ask")
	}
}

// Whoever wants a retained address back deletes its record: the address is free at
// once, and the pool, if it is being deleted, goes with it.
func TestRetainedUntilItsRecordIsDeleted(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(pool("p", "10.6.0.0/16", "10.6.0.5"))
	web := set("web", 1)
	web.Annotations = map[string]string{address.RetentionAnnotation: "{whenDeleted: Retain}"}
	w.add(web)
	w.add(annotated(podOf(web, "web-0"), address.PoolAnnotation, `{"ipv4": ["p"]}`))
	w.settle()
	if w.ip("web-0") != "10.6.0.5/16" {
		t.Fatal(w.ip("web-0"))
	}
	w.remove(web)
	w.remove(podOf(nil, "web-0"))
	w.settle()
	w.add(annotated(podOf(nil, "next"), address.PoolAnnotation, `{"ipv4": ["p"]}`))
	w.settle()
	w.pass(time.Hour)
	if w.ip("web-0") == "" || w.ip("next") != "" {
		t.Fatal("not retained")
	}
	w.remove(w.endpoint("web-0"))
	w.settle()
	if w.ip("next") != "10.6.0.5/16" {
		t.Error("the next pod still waits")
	}
}

func TestRetentionThatChanges(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	web := set("web", 1)
	w.add(web)
	w.add(podOf(web, "web-0"))
	w.settle()
	say := func(text string) {
		w.edit(w.live[keyOf(web)], func(o client.Object) { o.SetAnnotations(map[string]string{address.RetentionAnnotation: text}) })
		w.settle()
	}
	say("{whenScaled: Retain, whenDeleted: Retain}")
	w.edit(w.live[keyOf(web)], func(o client.Object) { o.(*appsv1.StatefulSet).Spec.Replicas = ptr.To[int32](0) })
	w.remove(podOf(nil, "web-0"))
	w.settle()
	if w.endpoint("web-0") == nil {
		t.Fatal("released")
	}
	say("")
	if w.endpoint("web-0") != nil {
		t.Error("kept although nobody asks for it any more")
	}
}

func TestStateless(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.rec.(*reconciler).stateless = true
	web := set("web", 1)
	w.add(web)
	w.add(podOf(web, "web-0"))
	w.settle()
	w.remove(podOf(nil, "web-0"))
	w.settle()
	if w.endpoint("web-0") != nil {
		t.Error("kept")
	}
}
