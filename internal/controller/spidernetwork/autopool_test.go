package spidernetwork_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/sim"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func asking(name string, replicas int32, annotations map[string]string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}, Annotations: annotations}},
		},
	}
}

func pools(t *testing.T, s *sim.Sim) map[string]*spiderpoolv2beta1.SpiderIPPool {
	t.Helper()
	list := &spiderpoolv2beta1.SpiderIPPoolList{}
	if err := s.API().List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	out := map[string]*spiderpoolv2beta1.SpiderIPPool{}
	for i := range list.Items {
		name := list.Items[i].Name
		out[name[:strings.LastIndex(name, "-")]] = &list.Items[i]
	}
	return out
}

func ips(p *spiderpoolv2beta1.SpiderIPPool) string {
	if p == nil {
		return "none"
	}
	return strings.Join(p.Spec.IPs, " ")
}

func TestPoolsOfWorkloads(t *testing.T) {
	subnet := &spiderpoolv2beta1.SpiderSubnet{
		ObjectMeta: metav1.ObjectMeta{Name: "s"},
		Spec:       spiderpoolv2beta1.SubnetSpec{IPVersion: ptr.To(int64(4)), Subnet: "10.9.0.0/16", IPs: []string{"10.9.0.1-10.9.0.10"}},
	}
	one := map[string]string{"ipam.spidernet.io/subnet": `{"ipv4":["s"]}`}
	s := start(t, subnet, &spiderpoolv2beta1.SpiderReservedIP{
		ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: spiderpoolv2beta1.ReservedIPSpec{IPs: []string{"10.9.0.2"}},
	})
	s.Create(asking("web", 2, one))
	settle(t, s)
	web := pools(t, s)["auto4-web-eth0"]
	if ips(web) != "10.9.0.1 10.9.0.3-10.9.0.4" {
		t.Fatalf("%s", ips(web))
	}
	is := get(t, s, "", "s", &spiderpoolv2beta1.SpiderSubnet{})
	if *is.Status.AllocatedIPCount != 3 || !strings.Contains(*is.Status.ControlledIPPools, `"application":"apps_v1:StatefulSet:default:web"`) {
		t.Errorf("%+v", is.Status)
	}
	// Its size follows the workload's, and what pods hold stays.
	web.Status.AllocatedIPs = ptr.To(`{"10.9.0.4":{"pod":"default/web-1","podUid":"u"}}`)
	if err := s.API().Status().Update(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	scale := func(n int32) {
		t.Helper()
		set := get(t, s, "default", "web", &appsv1.StatefulSet{})
		set.Spec.Replicas = &n
		if err := s.API().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		settle(t, s)
	}
	scale(1)
	if got := ips(pools(t, s)["auto4-web-eth0"]); got != "10.9.0.1 10.9.0.4" {
		t.Errorf("smaller: %s", got)
	}
	scale(4)
	if got := ips(pools(t, s)["auto4-web-eth0"]); got != "10.9.0.1 10.9.0.3-10.9.0.6" {
		t.Errorf("larger: %s", got)
	}
	// What the subnet lacks comes when it grows.
	more := map[string]string{"ipam.spidernet.io/subnet": `{"ipv4":["s"]}`, "ipam.spidernet.io/ippool-ip-number": "5", "ipam.spidernet.io/ippool-reclaim": "false"}
	s.Create(asking("db", 1, more))
	settle(t, s)
	if got := ips(pools(t, s)["auto4-db-eth0"]); got != "10.9.0.7-10.9.0.10" {
		t.Errorf("of what is left: %s", got)
	}
	is = get(t, s, "", "s", is)
	is.Spec.IPs = []string{"10.9.0.1-10.9.0.20"}
	if err := s.API().Update(t.Context(), is); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	db := pools(t, s)["auto4-db-eth0"]
	if ips(db) != "10.9.0.7-10.9.0.11" {
		t.Errorf("when there is more: %s", ips(db))
	}
	// They go with the workload, or wait for the next of that name.
	for _, name := range []string{"web", "db"} {
		if err := s.API().Delete(t.Context(), get(t, s, "default", name, &appsv1.StatefulSet{})); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, s)
	if left := pools(t, s); len(left) != 1 || left["auto4-db-eth0"] == nil {
		t.Errorf("left are %v", left)
	}
	s.Create(asking("db", 7, map[string]string{"ipam.spidernet.io/subnet": `{"ipv4":["s"]}`}))
	settle(t, s)
	if again := pools(t, s)["auto4-db-eth0"]; again == nil || again.UID != db.UID || ips(again) != "10.9.0.1 10.9.0.3-10.9.0.4 10.9.0.7-10.9.0.11" {
		t.Errorf("the next has %s", ips(again))
	}
	if err := s.API().Delete(t.Context(), get(t, s, "default", "db", &appsv1.StatefulSet{})); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if err := s.API().Get(t.Context(), client.ObjectKeyFromObject(db), &spiderpoolv2beta1.SpiderIPPool{}); !apierrors.IsNotFound(err) {
		t.Errorf("a pool that is not to be kept stays: %v", err)
	}
}
