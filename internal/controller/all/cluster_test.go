package all_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/all"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/volume"
	"berth.dev/berth/internal/sim"
)

// cluster is every loop in the simulator but those that need leases, addresses
// or the real API server's finalization of namespaces.
func cluster(t *testing.T, seed uint64, faults sim.Faults, checks ...func(*sim.Sim) error) *sim.Sim {
	t.Helper()
	every, err := all.Loops(all.Config{RootCA: []byte("ca")})
	if err != nil {
		t.Fatal(err)
	}
	loops := slices.DeleteFunc(every, func(l loop.Loop) bool {
		return l.Name == "node-lifecycle" || l.Name == "namespace" || l.Name == "ipam"
	})
	s := sim.New(sim.Config{
		Seed: seed, Loops: loops, Faults: faults, NoToyScheduler: true, NoToyCollector: true,
		Check: append([]func(*sim.Sim) error{noNodeOvercommitted, noVolumeTwice}, checks...),
	})
	for i := range 2 {
		name := fmt.Sprint("node-", i)
		s.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelHostname: name},
			Annotations: map[string]string{volume.VolumesDirAnnotation: "/volumes"},
		}})
		node := &corev1.Node{}
		must(t, s.API().Get(t.Context(), client.ObjectKey{Name: name}, node))
		node = node.DeepCopy()
		node.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		must(t, s.API().Status().Update(t.Context(), node))
	}
	s.Create(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		&storagev1.StorageClass{
			ObjectMeta:  metav1.ObjectMeta{Name: "local", Annotations: map[string]string{volume.DefaultClassAnnotation: "true"}},
			Provisioner: volume.LocalProvisioner, VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
			ReclaimPolicy: ptr.To(corev1.PersistentVolumeReclaimDelete),
		},
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx"},
			Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "web"}, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
		},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "far"}, Spec: corev1.ServiceSpec{ClusterIP: "10.43.0.9"}},
		&corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "far"},
			Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.7"}}}},
		},
	)
	return s
}

func web(replicas int32, cpu string) *appsv1.StatefulSet {
	labels := map[string]string{"app": "web"}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.StatefulSetSpec{
			ServiceName: "nginx", Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "good:1", Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
				}}}},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "www"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				},
			}},
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pods(s *sim.Sim) []corev1.Pod {
	list := &corev1.PodList{}
	if err := s.API().List(context.Background(), list); err != nil {
		panic(err)
	}
	return list.Items
}

func noNodeOvercommitted(s *sim.Sim) error {
	used := map[string]int64{}
	for _, p := range pods(s) {
		if p.Spec.NodeName != "" && p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded {
			used[p.Spec.NodeName] += p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
		}
	}
	for node, cpu := range used {
		if cpu > 2000 {
			return fmt.Errorf("node %s has 2000m and gave %dm", node, cpu)
		}
	}
	return nil
}

func noVolumeTwice(s *sim.Sim) error {
	list := &corev1.PersistentVolumeClaimList{}
	if err := s.API().List(context.Background(), list); err != nil {
		return err
	}
	holder := map[string]string{}
	for _, c := range list.Items {
		if c.Spec.VolumeName == "" {
			continue
		}
		if other := holder[c.Spec.VolumeName]; other != "" {
			return fmt.Errorf("volume %s belongs to %s and %s", c.Spec.VolumeName, other, c.Name)
		}
		holder[c.Spec.VolumeName] = c.Name
	}
	return nil
}

// healthy is what must hold once nothing moves any more.
func healthy(s *sim.Sim, replicas int) error {
	ctx := context.Background()
	all := pods(s)
	if len(all) != replicas {
		return fmt.Errorf("%d pods, want %d", len(all), replicas)
	}
	for _, p := range all {
		claim, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
		if err := s.API().Get(ctx, client.ObjectKey{Namespace: "default", Name: "www-" + p.Name}, claim); err != nil {
			return err
		}
		if claim.Status.Phase != corev1.ClaimBound || claim.Status.Capacity.Storage().String() != "1Gi" {
			return fmt.Errorf("claim %s is %s with %v", claim.Name, claim.Status.Phase, claim.Status.Capacity)
		}
		if err := s.API().Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, pv); err != nil {
			return err
		}
		if pv.Status.Phase != corev1.VolumeBound || !slices.Equal(volume.LocalHosts(pv), []string{p.Spec.NodeName}) {
			return fmt.Errorf("volume %s of %s on %s is %s on %v", pv.Name, p.Name, p.Spec.NodeName, pv.Status.Phase, volume.LocalHosts(pv))
		}
	}
	slices := &discoveryv1.EndpointSliceList{}
	if err := s.API().List(ctx, slices); err != nil {
		return err
	}
	ready, mirrors := map[string]bool{}, 0
	for _, slice := range slices.Items {
		if slice.Labels[discoveryv1.LabelServiceName] == "far" && len(slice.Endpoints) == 1 && slice.Endpoints[0].Addresses[0] == "192.0.2.7" {
			mirrors++
			continue
		}
		for _, e := range slice.Endpoints {
			if *e.Conditions.Ready {
				ready[*e.Hostname] = true
			}
		}
	}
	if mirrors != 1 {
		return fmt.Errorf("%d slices mirror what somebody wrote, want 1", mirrors)
	}
	if len(ready) != replicas {
		return fmt.Errorf("ready endpoints %v, want %d", ready, replicas)
	}
	legacy, named := &corev1.Endpoints{}, 0
	if err := s.API().Get(ctx, client.ObjectKey{Namespace: "default", Name: "nginx"}, legacy); err != nil {
		return err
	}
	for _, subset := range legacy.Subsets {
		named += len(subset.Addresses)
	}
	if named != replicas {
		return fmt.Errorf("%d addresses in the Endpoints, want %d", named, replicas)
	}
	account, ca := &corev1.ServiceAccount{}, &corev1.ConfigMap{}
	if err := s.API().Get(ctx, client.ObjectKey{Namespace: "default", Name: "default"}, account); err != nil {
		return err
	}
	return s.API().Get(ctx, client.ObjectKey{Namespace: "default", Name: "kube-root-ca.crt"}, ca)
}

func TestClusterComesUpRestsAndGoes(t *testing.T) {
	s := cluster(t, 1, sim.Faults{})
	s.Create(web(3, "500m"))
	must(t, s.Settle(20000))
	if err := healthy(s, 3); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(s.Trace(), "\n"))
	}

	before := s.Writes()
	s.Wake()
	must(t, s.Settle(20000))
	if n := s.Writes() - before; n != 0 {
		t.Errorf("%d writes although nothing has changed:\n%s", n, strings.Join(s.Trace()[max(0, len(s.Trace())-40):], "\n"))
	}

	set := &appsv1.StatefulSet{}
	must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, set))
	must(t, s.API().Delete(t.Context(), set.DeepCopy()))
	must(t, s.Settle(20000))
	revisions, claims := &appsv1.ControllerRevisionList{}, &corev1.PersistentVolumeClaimList{}
	must(t, s.API().List(t.Context(), revisions))
	must(t, s.API().List(t.Context(), claims))
	if len(pods(s)) != 0 || len(revisions.Items) != 0 || len(claims.Items) != 3 {
		t.Fatalf("%d pods, %d revisions, %d claims after the set was deleted", len(pods(s)), len(revisions.Items), len(claims.Items))
	}

	for i := range claims.Items {
		must(t, s.API().Delete(t.Context(), claims.Items[i].DeepCopy()))
	}
	must(t, s.Settle(20000))
	must(t, s.API().List(t.Context(), claims))
	volumes := &corev1.PersistentVolumeList{}
	must(t, s.API().List(t.Context(), volumes))
	if len(claims.Items) != 0 {
		t.Errorf("claims remain: %v", claims.Items)
	}
	for i := range volumes.Items {
		pv := &volumes.Items[i]
		if volume.LocalReclaim(pv) != volume.LocalRemove {
			t.Errorf("volume %s waits for its node no more: %s, finalizers %v, deleted %v", pv.Name, pv.Status.Phase, pv.Finalizers, pv.DeletionTimestamp)
		}
	}
}

func TestDeleteModes(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan} {
		s := cluster(t, 2, sim.Faults{})
		s.Create(web(2, "500m"))
		must(t, s.Settle(20000))
		set := &appsv1.StatefulSet{}
		must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, set))
		must(t, s.API().Delete(t.Context(), set.DeepCopy(), client.PropagationPolicy(policy)))
		must(t, s.Settle(20000))
		want := 0
		if policy == metav1.DeletePropagationOrphan {
			want = 2
		}
		if err := s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, set); err == nil {
			t.Errorf("%s: the set is still there", policy)
		}
		if n := len(pods(s)); n != want {
			t.Errorf("%s: %d pods, want %d", policy, n, want)
		}
	}
}

func TestPodsThatDoNotFitWait(t *testing.T) {
	s := cluster(t, 3, sim.Faults{})
	set := web(4, "1500m") // two nodes, so two pods
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	s.Create(set)
	must(t, s.Settle(20000))
	var bound, told int
	for _, p := range pods(s) {
		if p.Spec.NodeName != "" {
			bound++
			continue
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == "Unschedulable" && strings.HasPrefix(c.Message, "0/2 nodes are available: 2 Insufficient cpu.") {
				told++
			}
		}
	}
	if bound != 2 || told != 2 {
		t.Fatalf("%d bound, %d told why not", bound, told)
	}
	// A node that frees room wakes them.
	first := pods(s)[0]
	must(t, s.API().Delete(t.Context(), &first, client.GracePeriodSeconds(0)))
	must(t, s.Settle(20000))
	bound = 0
	for _, p := range pods(s) {
		if p.Spec.NodeName != "" {
			bound++
		}
	}
	if bound != 2 {
		t.Errorf("%d bound after one made room", bound)
	}
}

func TestFaults(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		s := cluster(t, seed, sim.AllFaults)
		s.Create(web(3, "500m"))
		must(t, s.Run(1500))
		must(t, s.Settle(40000))
		if err := healthy(s, 3); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(s.Trace()[max(0, len(s.Trace())-80):], "\n"))
		}
	}
}

// TestTightUnderFaults has one pod more than the nodes have room for.
func TestTightUnderFaults(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		s := cluster(t, seed, sim.AllFaults)
		set := web(5, "900m")
		set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		s.Create(set)
		must(t, s.Run(1500))
		must(t, s.Settle(40000))
		bound := 0
		for _, p := range pods(s) {
			if p.Spec.NodeName != "" {
				bound++
			}
		}
		// A claim that got its volume on a node that is full now keeps its pod waiting.
		if bound < 3 || bound > 4 {
			t.Fatalf("seed %d: %d pods have a node\n%s", seed, bound, strings.Join(s.Trace()[max(0, len(s.Trace())-80):], "\n"))
		}
	}
}

func TestEphemeralVolume(t *testing.T) {
	s := cluster(t, 4, sim.Faults{})
	s.Create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "good:1"}},
			Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
				VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: web(1, "1").Spec.VolumeClaimTemplates[0].Spec},
			}}}},
		},
	})
	must(t, s.Settle(20000))
	claim := &corev1.PersistentVolumeClaim{}
	must(t, s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "p-scratch"}, claim))
	pod := pods(s)[0]
	if claim.Status.Phase != corev1.ClaimBound || pod.Spec.NodeName == "" {
		t.Fatalf("claim %s, pod on %q", claim.Status.Phase, pod.Spec.NodeName)
	}
	must(t, s.API().Delete(t.Context(), &pod))
	must(t, s.Settle(20000))
	if err := s.API().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "p-scratch"}, claim); err == nil {
		t.Errorf("the claim outlives its pod: %+v", claim)
	}
}
