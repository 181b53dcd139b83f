package sim_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

func settled(t *testing.T, s *sim.Sim) {
	t.Helper()
	if err := s.Settle(5000); err != nil {
		t.Fatal(err)
	}
}

func podNames(t *testing.T, s *sim.Sim) []string {
	t.Helper()
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range pods.Items {
		names = append(names, pods.Items[i].Name)
	}
	return names
}

func count(s *sim.Sim, words string) int {
	n := 0
	for _, line := range s.Trace() {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func TestDeletionCascades(t *testing.T) {
	for policy, left := range map[string]int{"Background": 0, "Foreground": 0, "Orphan": 3} {
		t.Run(policy, func(t *testing.T) {
			s := newSim(3, sim.Faults{})
			s.Create(web(3))
			settled(t, s)
			set := &appsv1.StatefulSet{}
			set.Namespace, set.Name = "default", "web"
			if err := s.API().Delete(t.Context(), set, deletePolicy(policy)); err != nil {
				t.Fatal(err)
			}
			settled(t, s)
			if names := podNames(t, s); len(names) != left {
				t.Errorf("left: %v", names)
			}
			if n := count(s, "create ControllerRevision"); n != 1 {
				t.Errorf("%d revisions were created, want 1", n)
			}
			if n := count(s, "statefulset: create Pod"); n != 3 {
				t.Errorf("%d pods were created, want 3", n)
			}
		})
	}
}

// An ordered teardown stops the pods of a set from the highest down, and leaves
// orphans alone.
func TestOrderedTeardown(t *testing.T) {
	for _, c := range []struct {
		policy string
		left   int
	}{{"Background", 0}, {"Foreground", 0}, {"Orphan", 3}} {
		t.Run(c.policy, func(t *testing.T) {
			s := newSim(8, sim.Faults{Stale: 0.5})
			set := web(3)
			set.Annotations = map[string]string{options.OrderedTeardown: "true"}
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			s.Create(set)
			settled(t, s)
			if err := s.API().Delete(t.Context(), web(3), deletePolicy(c.policy)); err != nil {
				t.Fatal(err)
			}
			settled(t, s)
			var gone []string
			for _, line := range s.Trace() {
				if _, name, ok := strings.Cut(line, "statefulset: delete Pod default/"); ok {
					gone = append(gone, name)
				}
			}
			want := []string{"web-2", "web-1", "web-0"}
			if names := podNames(t, s); len(names) != c.left || c.left == 0 && !slices.Equal(gone, want) || c.left > 0 && len(gone) > 0 {
				t.Errorf("left %v after stopping %v", names, gone)
			}
			if err := s.API().Get(t.Context(), key("web"), &appsv1.StatefulSet{}); err == nil {
				t.Error("the set is still there")
			}
		})
	}
}

func TestForeignPodStandsInTheWay(t *testing.T) {
	s := newSim(4, sim.Faults{})
	foreign := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-1", Labels: map[string]string{"app": "web"}, Finalizers: []string{"x/y"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "uid-1", Controller: ptr.To(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "good"}}},
	}
	s.Create(foreign) // is uid-1 itself, so the collector finds its owner alive
	s.Create(web(2))
	if err := s.Run(300); err != nil {
		t.Fatal(err)
	}
	if n := count(s, "event"); n != 4 { // two claims, web-0, and the foreign pod makes no event
		t.Logf("%d events", n)
	}
	pod := &corev1.Pod{}
	if err := s.API().Get(t.Context(), key("web-1"), pod); err != nil || pod.UID != foreign.UID {
		t.Fatalf("the foreign pod was touched: %v", err)
	}
	pod = pod.DeepCopy()
	pod.Finalizers = nil
	if err := s.API().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := s.API().Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	if err := s.Converged(); err != nil {
		t.Fatal(err)
	}
}

func TestClaimsFollowRetention(t *testing.T) {
	s := newSim(5, sim.Faults{})
	set := web(3)
	set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
		WhenScaled:  appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	}
	s.Create(set)
	settled(t, s)
	scale := func(n int32) {
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			t.Fatal(err)
		}
		set = set.DeepCopy()
		set.Spec.Replicas = &n
		if err := s.API().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		settled(t, s)
	}
	claims := func() []string {
		list := &corev1.PersistentVolumeClaimList{}
		if err := s.API().List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names
	}
	scale(1)
	if got := claims(); !slices.Equal(got, []string{"www-web-0"}) {
		t.Errorf("claims after scale-down: %v", got)
	}
	scale(3)
	if got := claims(); len(got) != 3 {
		t.Errorf("claims after scale-up: %v", got)
	}
	gone := &appsv1.StatefulSet{}
	gone.Namespace, gone.Name = "default", "web"
	if err := s.API().Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	if got := claims(); len(got) != 3 {
		t.Errorf("claims after deletion of the set: %v", got)
	}
}

func TestHistoryIsCut(t *testing.T) {
	s := newSim(6, sim.Faults{})
	set := web(1)
	set.Spec.RevisionHistoryLimit = ptr.To(int32(2))
	s.Create(set)
	settled(t, s)
	for _, image := range []string{"good:2", "good:3", "good:4", "good:5"} {
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			t.Fatal(err)
		}
		set = set.DeepCopy()
		set.Spec.Template.Spec.Containers[0].Image = image
		if err := s.API().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		settled(t, s)
	}
	revs := &appsv1.ControllerRevisionList{}
	if err := s.API().List(t.Context(), revs); err != nil {
		t.Fatal(err)
	}
	var numbers []int64
	for i := range revs.Items {
		numbers = append(numbers, revs.Items[i].Revision)
	}
	slices.Sort(numbers)
	if !slices.Equal(numbers, []int64{3, 4, 5}) {
		t.Errorf("revisions %v are kept, want the live one and two more: 3 4 5", numbers)
	}
}
