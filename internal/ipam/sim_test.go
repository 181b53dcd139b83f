package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/statefulset"
	"berth.dev/berth/internal/ipam"
	"berth.dev/berth/internal/sim"
	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

func statefulSet(name string, replicas int32) *appsv1.StatefulSet {
	labels := map[string]string{"app": name}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: name, Replicas: ptr.To(replicas),
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
			},
		},
	}
}

// address is what a pod's endpoint says, with the UID of its holder.
type address struct{ ip, uid string }

func endpoints(s *sim.Sim) (map[string]address, error) {
	list := &spiderpoolv2beta1.SpiderEndpointList{}
	if err := s.API().List(context.Background(), list); err != nil {
		return nil, err
	}
	out := map[string]address{}
	holder := map[string]string{}
	for _, e := range list.Items {
		for _, ip := range e.Status.Current.IPs {
			if other := holder[ip.IPv4]; other != "" {
				return nil, fmt.Errorf("%s is held by %s and %s", ip.IPv4, other, e.Name)
			}
			holder[ip.IPv4] = e.Name
			out[e.Name] = address{ip.IPv4, e.Status.Current.UID}
		}
	}
	return out, nil
}

// TestWithTheStatefulSetLoop runs two real sets on bad days in a pool of
// exactly their size: names keep their addresses whatever happens, no address
// is held twice, and at rest nothing is missing or left over.
func TestWithTheStatefulSetLoop(t *testing.T) {
	for seed := range uint64(40) {
		loops := []loop.Loop{statefulset.Loop()}
		l, err := ipam.Loop(ipam.Config{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/29")}})
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]string{}
		check := func(s *sim.Sim) error {
			now, err := endpoints(s)
			if err != nil {
				return err
			}
			for name, a := range now {
				if was := known[name]; was != "" && was != a.ip {
					return fmt.Errorf("%s moved from %s to %s", name, was, a.ip)
				}
				known[name] = a.ip
			}
			for name := range known {
				if _, ok := now[name]; !ok {
					return fmt.Errorf("%s lost its address", name)
				}
			}
			return nil
		}
		s := sim.New(sim.Config{Seed: seed, Loops: append(loops, l), Faults: sim.AllFaults, Check: []func(*sim.Sim) error{check}})
		s.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, statefulSet("a", 3), statefulSet("b", 2))
		if err := s.Run(600); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(20_000); err != nil {
			t.Fatal(err)
		}
		atRest(t, s, 5)
	}
}

// TestScaleInTheSimulator lets the sets grow and shrink in turns within a pool
// that is just large enough.
func TestScaleInTheSimulator(t *testing.T) {
	for seed := range uint64(40) {
		l, err := ipam.Loop(ipam.Config{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/29")}})
		if err != nil {
			t.Fatal(err)
		}
		unique := func(s *sim.Sim) error {
			_, err := endpoints(s)
			return err
		}
		s := sim.New(sim.Config{Seed: seed, Loops: []loop.Loop{statefulset.Loop(), l}, Faults: sim.AllFaults, Check: []func(*sim.Sim) error{unique}})
		s.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, statefulSet("a", 5), statefulSet("b", 0))
		for _, n := range []int32{5, 3, 0, 4, 1} {
			for name, replicas := range map[string]int32{"a": n, "b": 5 - n} {
				set := &appsv1.StatefulSet{}
				if err := s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, set); err != nil {
					t.Fatal(err)
				}
				set = set.DeepCopy()
				set.Spec.Replicas = ptr.To(replicas)
				if err := s.API().Update(t.Context(), set); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Run(150); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Settle(20_000); err != nil {
			t.Fatal(err)
		}
		atRest(t, s, 5)
	}
}

func atRest(t *testing.T, s *sim.Sim, want int) {
	t.Helper()
	if err := s.Converged(); err != nil {
		t.Fatal(err)
	}
	held, err := endpoints(s)
	if err != nil {
		t.Fatal(err)
	}
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; held[p.Name].uid != string(p.UID) {
			t.Errorf("pod %s (%s) has %+v", p.Name, p.UID, held[p.Name])
		}
	}
	pool := &spiderpoolv2beta1.SpiderIPPool{}
	if err := s.API().Get(t.Context(), client.ObjectKey{Name: "default-ipv4"}, pool); err != nil {
		t.Fatal(err)
	}
	if len(held) != want || len(pods.Items) != want || ptr.Deref(pool.Status.AllocatedIPCount, -1) != int64(want) {
		t.Errorf("%d endpoints, %d pods, want %d; the pool says %+v", len(held), len(pods.Items), want, ptr.Deref(pool.Status.AllocatedIPCount, -1))
	}
	if t.Failed() {
		for _, line := range s.Trace() {
			fmt.Println(line)
		}
		t.FailNow()
	}
}
