package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/attachdetach"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/sim"
)

// driverVolume is a claim that is bound to a volume of a driver.
func driverVolume(t *testing.T, s *sim.Sim, name string, mode corev1.PersistentVolumeAccessMode) {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: name, AccessModes: []corev1.PersistentVolumeAccessMode{mode}},
	}
	s.Create(claim)
	if err := s.API().Get(t.Context(), client.ObjectKeyFromObject(claim), claim); err != nil {
		t.Fatal(err)
	}
	claim = claim.DeepCopy()
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size}
	if err := s.API().Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	s.Create(&corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: claim.Spec.AccessModes, Capacity: size,
			ClaimRef:               &corev1.ObjectReference{Namespace: "default", Name: name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h-" + name}},
		},
	})
}

func podWith(claim, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "pod-"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: image}},
			Volumes:    []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}},
		},
	}
}

// Pods come and go on nodes that fall silent, are deleted, and are said to be off,
// on bad days: a volume for one node is never attached to two, none is mounted where
// it is not attached or taken from a node that is well and uses it (the simulator
// looks at every step). In the end all pods that may run do, and with them gone
// nothing is attached anywhere.
func TestAttachHistories(t *testing.T) {
	steps, writes, n := 0, 0, uint64(*histories/3)
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		r := rand.New(rand.NewPCG(seed, 53))
		faults := sim.AllFaults
		if r.IntN(3) == 0 {
			faults = sim.Faults{Stale: 0.5, Silent: 0.01}
		}
		s := sim.New(sim.Config{Seed: seed, Nodes: 3, Drivers: true, Loops: []loop.Loop{attachdetach.Loop()}, Faults: faults})
		s.Create(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: storagev1.CSIDriverSpec{AttachRequired: ptr.To(true)}})
		driverVolume(t, s, "one", corev1.ReadWriteOnce)
		driverVolume(t, s, "two", corev1.ReadWriteOnce)
		driverVolume(t, s, "many", corev1.ReadWriteMany)
		for range 5 + r.IntN(25) {
			if err := s.Run(r.IntN(60)); err != nil {
				t.Fatal(err)
			}
			changeUsers(t, s, r)
		}
		emptied(t, s)
		if err := s.Settle(8000); err != nil {
			t.Fatal(err)
		}
		if left := s.Attached(); left != "" {
			t.Fatalf("seed %d: without pods: %s\n%s", seed, left, tail(s))
		}
		// What had been used, or was taken by force, can be used again.
		s.Create(podWith("one", "good"), podWith("two", "good"), podWith("many", "good"), podWith("many", "good"))
		if err := s.Settle(8000); err != nil {
			t.Fatal(err)
		}
		for _, pod := range users(t, s) {
			if pod.Status.Phase != corev1.PodRunning {
				t.Fatalf("seed %d: pod %s is %s\n%s", seed, pod.Name, pod.Status.Phase, tail(s))
			}
		}
		before := s.Writes()
		s.Wake()
		if err := s.Settle(8000); err != nil || s.Writes() != before {
			t.Fatalf("seed %d: %v, %d writes at rest\n%s", seed, err, s.Writes()-before, tail(s))
		}
		steps, writes = steps+s.Steps(), writes+s.Writes()
	}
	t.Logf("%d histories, %d steps, %d writes by the loop", n, steps, writes)
}

func users(t *testing.T, s *sim.Sim) []corev1.Pod {
	t.Helper()
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// changeUsers makes or deletes a pod, or does something to a node.
func changeUsers(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	var err error
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", r.IntN(3))}}
	pods := users(t, s)
	switch what := r.IntN(9); {
	case what == 0: // an administrator who knows
		if s.API().Get(t.Context(), client.ObjectKeyFromObject(node), node) == nil && node.Status.Conditions[0].Status != corev1.ConditionTrue {
			node = node.DeepCopy()
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute})
			err = s.API().Update(t.Context(), node)
		}
	case what == 1:
		err = s.API().Delete(t.Context(), node)
	case what == 2 && len(pods) > 0: // by force, whatever its node does
		err = s.API().Delete(t.Context(), &pods[r.IntN(len(pods))], client.GracePeriodSeconds(0))
	case what < 5 && len(pods) > 0 || len(pods) > 6:
		err = s.API().Delete(t.Context(), &pods[r.IntN(len(pods))])
	default:
		s.Create(podWith([]string{"one", "one", "two", "many"}[r.IntN(4)], []string{"good", "good", "done", "fails"}[r.IntN(4)]))
	}
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

// emptied deletes all pods.
func emptied(t *testing.T, s *sim.Sim) {
	t.Helper()
	for _, pod := range users(t, s) {
		if err := s.API().Delete(t.Context(), &pod); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
}
