package ipam

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func TestPodGetsOneWrite(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.settle()
	web := set("web", 1)
	w.add(web)
	pod := podOf(web, "web-0")
	pod.Spec.NodeName = ""
	w.add(pod)
	w.settle()
	if w.endpoint("web-0") != nil {
		t.Fatal("granted before the node is known")
	}
	w.edit(pod, func(o client.Object) { o.(*corev1.Pod).Spec.NodeName = "n1" })
	w.settle()
	e := w.endpoint("web-0")
	got := e.Status.Current.IPs[0]
	if got.NIC != "eth0" || got.IPv4 != "10.42.0.2/16" || got.IPv4Pool != "default-ipv4" || e.Status.Current.Node != "n1" {
		t.Errorf("%+v", e.Status)
	}
	if e.Status.OwnerControllerType != "StatefulSet" || e.Status.OwnerControllerName != "web" || e.Annotations[OwnerUID] != string(web.UID) {
		t.Errorf("%+v", e)
	}
	if w.writes["create Endpoint"] != 1 || w.writes["update Endpoint"] != 0 {
		t.Errorf("%v", w.writes)
	}
}

func TestStickyOverRecreationNodeChangeAndRestart(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16", "fd00:42::/64")
	web := set("web", 3)
	w.add(web)
	for i := range 3 {
		w.add(podOf(web, fmt.Sprint("web-", i)))
	}
	w.settle()
	first := *w.endpoint("web-1").DeepCopy()
	if first.Status.Current.IPs[0].IPv6 != "fd00:42::3/64" {
		t.Errorf("%+v", first.Status.Current)
	}
	w.remove(podOf(nil, "web-1"))
	w.settle()
	w.start() // berth restarts while the pod is away
	w.settle()
	for range 5 {
		w.add(podOf(nil, fmt.Sprint("other-", w.version)))
	}
	w.pass(time.Hour)
	again := podOf(web, "web-1")
	again.Spec.NodeName = "n2"
	w.add(again)
	w.settle()
	e := w.endpoint("web-1")
	if e.Status.Current.Node != "n2" || e.Status.Current.UID != string(again.UID) {
		t.Errorf("%+v", e.Status.Current)
	}
	if was, is := first.Status.Current.IPs[0], e.Status.Current.IPs[0]; was.IPv4 != is.IPv4 || was.IPv6 != is.IPv6 {
		t.Errorf("moved from %+v to %+v", was, is)
	}
	if e.UID != first.UID || w.writes["update Endpoint"] != 1 {
		t.Errorf("the endpoint was not updated in place: %v", w.writes)
	}
}

func TestReleasedWhenScaledDownOrSetDeleted(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	web := set("web", 3)
	w.add(web)
	for i := range 3 {
		w.add(podOf(web, fmt.Sprint("web-", i)))
	}
	w.settle()
	w.edit(web, scale(2))
	w.settle()
	if w.endpoint("web-2") == nil {
		t.Fatal("released while the pod exists")
	}
	w.remove(podOf(nil, "web-2"))
	w.settle()
	if w.endpoint("web-2") != nil {
		t.Error("not released after scale-down")
	}
	w.remove(podOf(nil, "web-1")) // the set still wants it
	w.settle()
	if w.endpoint("web-1") == nil {
		t.Fatal("released although wanted")
	}
	w.remove(web)
	w.settle()
	if w.endpoint("web-1") != nil || w.endpoint("web-0") == nil {
		t.Error("set deleted: web-1 must be released, web-0 still exists")
	}
	w.remove(podOf(nil, "web-0"))
	w.settle()
	if w.endpoint("web-0") != nil {
		t.Error("not released")
	}
}

func TestForcedDeletionRests(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	job := podOf(nil, "job")
	w.add(job)
	w.settle()
	w.edit(job, func(o client.Object) {
		s := &o.(*corev1.Pod).Status
		s.Phase = corev1.PodRunning
		s.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	})
	w.settle()
	w.remove(job)
	w.settle()
	w.pass(address.Linger / 2)
	if w.endpoint("job") == nil {
		t.Fatal("given up while it might still run")
	}
	w.pass(address.Linger)
	if w.endpoint("job") != nil {
		t.Error("leaked")
	}
}

func TestHostNetworkGetsNothing(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	p := podOf(nil, "agent")
	p.Spec.HostNetwork = true
	w.add(p)
	w.settle()
	if w.endpoint("agent") != nil {
		t.Error("granted")
	}
}

func TestExhaustedPoolTellsAndServesInOrder(t *testing.T) {
	w := newWorld(t, "10.42.0.0/30") // one usable address
	for _, name := range []string{"a", "b", "c"} {
		w.add(podOf(nil, name))
		w.settle()
	}
	if len(w.events) != 2 || !strings.Contains(w.events[0], "b FailedAllocateIP: no IPv4 address is free: IPPool default-ipv4 has 1 of 1 addresses held") {
		t.Fatalf("%q", w.events)
	}
	w.remove(podOf(nil, "a"))
	w.settle()
	if w.ip("b") != "10.42.0.2/30" || w.ip("c") != "" {
		t.Error(w.ip("b"), w.ip("c"))
	}
	more := &spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "more"},
		Spec:       spiderpoolv2beta1.IPPoolSpec{Subnet: "10.6.0.0/16", IPs: []string{"10.6.168.101-10.6.168.110"}, Default: ptr.To(true)},
	}
	w.add(more)
	w.settle()
	if w.ip("c") != "10.6.168.101/16" {
		t.Error(w.ip("c"))
	}
	if len(w.events) != 2 {
		t.Errorf("told twice: %q", w.events)
	}
}

func TestPoolStatus(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.settle()
	before := w.writes["update IPPool"]
	for i := range 50 {
		w.add(podOf(nil, fmt.Sprint("p-", i)))
		w.settle()
	}
	if n := w.writes["update IPPool"] - before; n > 1 {
		t.Errorf("%d status writes within a second", n)
	}
	w.pass(renderEvery)
	s := w.poolStatus("default-ipv4")
	if *s.TotalIPCount != 65533 || *s.AllocatedIPCount != 50 || !strings.Contains(*s.AllocatedIPs, `"10.42.0.2":{"pod":"default/p-0","podUid":"`) {
		t.Errorf("%v", s)
	}
	quiet := w.writes["update IPPool"]
	for range 10 {
		w.pass(10 * time.Second)
	}
	if n := w.writes["update IPPool"]; n != quiet {
		t.Errorf("%d status writes although nothing changed", n-quiet)
	}
}

func TestBuiltinPoolComesBack(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(podOf(nil, "a"))
	w.settle()
	w.remove(&spiderpoolv2beta1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "default-ipv4"}})
	w.pass(time.Minute)
	if s := w.poolStatus("default-ipv4"); *s.AllocatedIPCount != 1 {
		t.Errorf("%v", s)
	}
}

func TestDeletedEndpointIsWrittenAgain(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(podOf(nil, "a"))
	w.settle()
	was := w.ip("a")
	w.remove(w.endpoint("a"))
	w.settle()
	if w.ip("a") != was {
		t.Errorf("%q, was %q", w.ip("a"), was)
	}
}

func TestSecondSetOfTheSameNameDoesNotInherit(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	web := set("web", 1)
	w.add(web)
	w.add(podOf(web, "web-0"))
	w.settle()
	w.remove(web)
	w.add(set("web", 1))
	w.settle()
	w.remove(podOf(nil, "web-0"))
	w.settle()
	if w.endpoint("web-0") != nil {
		t.Error("kept for another set")
	}
}

func TestLoopRefusesTwoRangesOfOneFamily(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	_ = w
	if _, err := builtinPools(parse("10.42.0.0/16", "10.44.0.0/16")); err == nil {
		t.Error("accepted")
	}
}

func TestOnSetWakesWhatIsNotWanted(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	web := set("web", 3)
	w.add(web)
	w.settle()
	w.edit(web, func(o client.Object) {
		o.(*appsv1.StatefulSet).Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 2}
	})
	w.see(1)
	if fmt.Sprint(w.queue) != "[default/web-0 default/web-1]" {
		t.Error(w.queue)
	}
	w.settle()
	w.remove(web)
	w.see(1)
	if fmt.Sprint(w.queue) != "[default/web-2 default/web-3 default/web-4]" {
		t.Error(w.queue)
	}
}

func TestInvalidPoolIsToldAndNotUsed(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(&spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "a-bad-one"},
		Spec:       spiderpoolv2beta1.IPPoolSpec{Subnet: "10.6.0.0/16", IPs: []string{"10.7.0.1"}, Default: ptr.To(true)},
	})
	w.add(podOf(nil, "a"))
	w.settle()
	if w.ip("a") != "10.42.0.2/16" || len(w.events) == 0 ||
		w.events[0] != `a-bad-one InvalidPool: pool "a-bad-one": 10.7.0.1 does not lie in subnet 10.6.0.0/16` {
		t.Errorf("%q %q", w.ip("a"), w.events)
	}
}

func TestPoolInUseIsDeletedWhenItIsEmpty(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	pool := &spiderpoolv2beta1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Finalizers: []string{finalizer}},
		Spec:       spiderpoolv2beta1.IPPoolSpec{Subnet: "10.6.0.0/16", IPs: []string{"10.6.0.1"}, Default: ptr.To(true)},
	}
	w.add(pool)
	w.add(podOf(nil, "a"))
	w.settle()
	w.edit(pool, func(o client.Object) { o.SetDeletionTimestamp(ptr.To(metav1.NewTime(w.clock.Now()))) })
	w.add(podOf(nil, "b"))
	w.settle()
	if w.ip("a") != "10.6.0.1/16" || w.ip("b") != "10.42.0.2/16" {
		t.Error(w.ip("a"), w.ip("b"))
	}
	if n := len(w.live[keyOf(pool)].GetFinalizers()); n != 1 {
		t.Errorf("%d finalizers while in use", n)
	}
	w.remove(podOf(nil, "a"))
	w.pass(renderEvery)
	if n := len(w.live[keyOf(pool)].GetFinalizers()); n != 0 {
		t.Error("the finalizer stays although nothing is held")
	}
}

func TestNamespaceGoesBeforeItsPods(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16")
	w.add(podOf(nil, "a"))
	w.settle()
	w.broken = func() error {
		err := apierrors.NewForbidden(schema.GroupResource{}, "a", nil)
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return err
	}
	w.remove(w.endpoint("a"))
	w.settle() // no endless tries
	w.add(podOf(nil, "b"))
	w.settle()
	w.broken = nil
	w.edit(podOf(nil, "b"), func(o client.Object) { o.(*corev1.Pod).Spec.NodeName = "n2" })
	w.settle()
	if w.ip("b") != "10.42.0.3/16" {
		t.Errorf("the address of a running pod was given away: %s", w.ip("b"))
	}
	w.remove(podOf(nil, "a"))
	w.settle()
	if _, ok := w.rec.(*reconciler).ledger.Record(types.NamespacedName{Namespace: "default", Name: "a"}); ok {
		t.Error("leaked")
	}
}

func TestReadsItsOwnEndpoints(t *testing.T) {
	w := newWorld(t, "10.42.0.0/16", "fd00:42::/64")
	web := set("web", 1)
	w.add(web)
	w.add(podOf(web, "web-0"))
	w.settle()
	r := w.rec.(*reconciler)
	want, _ := r.ledger.Record(types.NamespacedName{Namespace: "default", Name: "web-0"})
	if got := recordOf(w.endpoint("web-0")); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The address of a static pod is the pod's, not its mirror's: one that is deleted
// and made anew leaves it where it is, and the grant names the UID by which the
// node runs the pod.
func TestMirrorsComeAndGo(t *testing.T) {
	w := newWorld(t, "10.42.0.0/24")
	mirror := func(static string) *corev1.Pod {
		p := podOf(nil, "etcd-n1")
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: static}
		return p
	}
	first := mirror("static-1")
	w.add(first)
	w.settle()
	e := w.endpoint("etcd-n1")
	if e == nil || e.Status.Current.UID != "static-1" {
		t.Fatalf("%+v", e)
	}
	ip := w.ip("etcd-n1")
	// Nothing is known of its containers yet, and nobody has ended them.
	w.remove(first)
	w.settle()
	w.pass(address.Linger / 2)
	if w.ip("etcd-n1") != ip {
		t.Fatal("given up with the mirror")
	}
	second := mirror("static-1")
	w.add(second)
	w.settle()
	w.pass(2 * address.Linger)
	if e := w.endpoint("etcd-n1"); w.ip("etcd-n1") != ip || e.Status.Current.UID != "static-1" || w.writes["update Endpoint"] != 0 {
		t.Errorf("%+v %v", e, w.writes)
	}
	// The last mirror of a pod that has ended.
	w.edit(second, func(o client.Object) { o.(*corev1.Pod).Status.Phase = corev1.PodSucceeded })
	w.settle()
	w.remove(second)
	w.settle()
	if w.endpoint("etcd-n1") != nil {
		t.Error("leaked")
	}
}
