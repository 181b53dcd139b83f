package ipam_test

import (
	"fmt"
	"net/netip"
	"strings"
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

// TestRetainedInTheSimulator scales two sets up and down on bad days, in pools of
// their own that are just large enough: one keeps its addresses by name, the
// other has them given by ordinal. No name ever has another address than at
// first, none is held twice, and at rest the one holds all and the other no more
// than it has pods.
func TestRetainedInTheSimulator(t *testing.T) {
	for seed := range uint64(30) {
		l, err := ipam.Loop(ipam.Config{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/29")}})
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]string{}
		sticky := func(s *sim.Sim) error {
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
				if _, ok := now[name]; !ok && strings.HasPrefix(name, "kept-") {
					return fmt.Errorf("%s lost its address", name)
				}
			}
			return nil
		}
		s := sim.New(sim.Config{Seed: seed, Loops: []loop.Loop{statefulset.Loop(), l}, Faults: sim.AllFaults, Check: []func(*sim.Sim) error{sticky}})
		kept, given := statefulSet("kept", 4), statefulSet("given", 4)
		kept.Annotations = map[string]string{"berth.dev/address-retention": "{whenScaled: Retain}"}
		given.Annotations = map[string]string{"berth.dev/addresses": "10.7.0.5-10.7.0.6,10.7.0.2-10.7.0.3"}
		for set, pool := range map[*appsv1.StatefulSet]string{kept: "six", given: "seven"} {
			set.Spec.Template.Annotations = map[string]string{"ipam.spidernet.io/ippool": fmt.Sprintf(`{"ipv4":[%q]}`, pool)}
		}
		s.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
			&spiderpoolv2beta1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "six"}, Spec: spiderpoolv2beta1.IPPoolSpec{Subnet: "10.6.0.0/16", IPs: []string{"10.6.0.1-10.6.0.4"}}},
			&spiderpoolv2beta1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "seven"}, Spec: spiderpoolv2beta1.IPPoolSpec{Subnet: "10.7.0.0/16", IPs: []string{"10.7.0.2-10.7.0.6"}}},
			kept, given)
		for _, n := range []int32{4, 1, 4, 0, 2} {
			for _, name := range []string{"kept", "given"} {
				set := &appsv1.StatefulSet{}
				if err := s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, set); err != nil {
					t.Fatal(err)
				}
				set = set.DeepCopy()
				set.Spec.Replicas = ptr.To(n)
				if err := s.API().Update(t.Context(), set); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Run(200); err != nil {
				t.Fatal(seed, err)
			}
		}
		if err := s.Settle(20_000); err != nil {
			t.Fatal(seed, err)
		}
		held, err := endpoints(s)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"10.7.0.5/16", "10.7.0.6/16", "", ""} {
			if got := held[fmt.Sprintf("given-%d", i)].ip; got != want {
				t.Errorf("seed %d: given-%d has %q, not %q", seed, i, got, want)
			}
		}
		for name, ip := range known {
			if strings.HasPrefix(name, "kept-") && held[name].ip != ip {
				t.Errorf("seed %d: %s has %q, not %s", seed, name, held[name].ip, ip)
			}
		}
	}
}
