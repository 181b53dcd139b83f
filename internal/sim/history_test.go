package sim_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/statefulset/options"
	"berth.dev/berth/internal/sim"
)

var (
	histories = flag.Int("histories", 300, "how many seeded histories to run")
	firstSeed = flag.Uint64("seed", 1, "the first seed")
	soak      = flag.Duration("soak", 0, "how long TestSoak runs histories")
)

// TestHistories lets a user change a set in every way at any moment of a bad
// day, and asks that it ends as the last spec says.
func TestHistories(t *testing.T) {
	steps, writes := 0, 0
	for seed := *firstSeed; seed < *firstSeed+uint64(*histories); seed++ {
		s := history(t, seed)
		steps += s.Steps()
		writes += s.Writes()
	}
	t.Logf("%d histories, %d steps, %d writes by loops", *histories, steps, writes)
}

func history(t *testing.T, seed uint64) *sim.Sim {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	faults := sim.AllFaults
	if r.IntN(4) == 0 {
		faults = sim.Faults{Stale: 0.5}
	}
	s := newSim(seed, faults)
	set := web(int32(r.IntN(5)))
	if r.IntN(2) == 0 {
		set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	}
	if r.IntN(4) == 0 {
		set.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType // and no rollingUpdate
	}
	if r.IntN(4) == 0 {
		set.Spec.MinReadySeconds = 5
	}
	s.Create(set)
	if r.IntN(3) == 0 {
		s.Create(budget(1))
	}
	for range 1 + r.IntN(8) {
		if err := s.Run(r.IntN(120)); err != nil {
			t.Fatal(err)
		}
		edit(t, s, r)
	}
	mend(t, s)
	if err := s.Settle(8000); err != nil {
		t.Fatal(err)
	}
	if err := s.Converged(); err != nil {
		for _, line := range s.Trace()[max(0, len(s.Trace())-60):] {
			fmt.Println(line)
		}
		t.Fatalf("seed %d: %v", seed, err)
	}
	before := s.Writes()
	s.Wake()
	if err := s.Settle(8000); err != nil {
		t.Fatal(err)
	}
	if n := s.Writes() - before; n != 0 {
		t.Fatalf("seed %d: a set at rest was written %d times", seed, n)
	}
	return s
}

// edit is one thing that a user may do.
func edit(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	change := func(f func(*appsv1.StatefulSet)) {
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			return
		}
		set = set.DeepCopy()
		f(set)
		if set.Spec.UpdateStrategy.Type == appsv1.RecreateStatefulSetStrategyType { // as admission has it
			delete(set.Annotations, options.RespectPDB)
			delete(set.Annotations, options.InPlaceUpdate)
		}
		if err := s.API().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	image := func(name string) func(*appsv1.StatefulSet) {
		return func(set *appsv1.StatefulSet) { set.Spec.Template.Spec.Containers[0].Image = name }
	}
	annotate := func(name string, values ...string) {
		change(func(set *appsv1.StatefulSet) {
			if set.Annotations == nil {
				set.Annotations = map[string]string{}
			}
			set.Annotations[name] = values[r.IntN(len(values))]
		})
	}
	switch r.IntN(31) {
	case 0, 1:
		change(func(set *appsv1.StatefulSet) { set.Spec.Replicas = ptr.To(int32(r.IntN(6))) })
	case 2, 3:
		change(image(fmt.Sprintf("good:%d", r.IntN(3))))
	case 4:
		// Not "unready": a pod of the current revision that runs without ever
		// being ready is left to its user, as upstream does.
		change(image([]string{"bad", "crash", "fails"}[r.IntN(3)]))
	case 5:
		change(func(set *appsv1.StatefulSet) {
			set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: int32(r.IntN(3))}
		})
	case 6:
		change(func(set *appsv1.StatefulSet) {
			if set.Spec.UpdateStrategy.RollingUpdate != nil {
				set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(r.IntN(4)))
			}
		})
	case 7:
		change(func(set *appsv1.StatefulSet) {
			if set.Spec.UpdateStrategy.RollingUpdate != nil {
				set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(int32(1 + r.IntN(3))))
			}
		})
	case 8:
		change(func(set *appsv1.StatefulSet) {
			policy := []appsv1.PersistentVolumeClaimRetentionPolicyType{appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
			set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: policy[r.IntN(2)], WhenScaled: policy[r.IntN(2)],
			}
		})
	case 9: // a label is changed by hand: identity is repaired or the pod released
		pod := &corev1.Pod{}
		if err := s.API().Get(t.Context(), key(fmt.Sprintf("web-%d", r.IntN(4))), pod); err == nil {
			pod = pod.DeepCopy()
			if r.IntN(2) == 0 {
				pod.Labels["app"] = "other"
			} else {
				pod.Labels["statefulset.kubernetes.io/pod-name"] = "wrong"
			}
			if err := s.API().Update(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
		}
	case 10: // a claim vanishes
		claim := &corev1.PersistentVolumeClaim{}
		claim.Namespace, claim.Name = "default", fmt.Sprintf("www-web-%d", r.IntN(4))
		_ = s.API().Delete(t.Context(), claim)
	case 11:
		annotate(options.ReserveOrdinals, "", "0", "1,3", "2-4")
	case 12:
		annotate(options.Paused, "true", "false")
	case 13:
		annotate(options.MaxUnavailableScale, "1", "50%", "3")
	case 16:
		annotate(options.RespectPDB, "true", "true", "false")
	case 17:
		annotate(options.Recovery, "Parallel", "Ordered")
	case 21:
		annotate(options.InPlaceUpdate, "IfPossible", "IfPossible", "Only")
	case 22:
		annotate(options.PrePull, "true", "true", "false")
	case 23, 24:
		annotate(options.Overrides, "own")
	case 25: // overrides appear, change, break or go
		own := &corev1.ConfigMap{}
		own.Namespace, own.Name = "default", "own"
		_ = s.API().Delete(t.Context(), own.DeepCopy())
		if r.IntN(3) > 0 {
			own.Data = []map[string]string{
				{"0-2": "spec: {containers: [{name: nginx, env: [{name: A, value: '1'}]}]}"},
				{"1": "metadata: {labels: {zone: b}}", "0-5": "spec: {priorityClassName: x}"},
				{"1": "spec: {nonsense: 1}"},
			}[r.IntN(3)]
			s.Create(own)
		}
	case 26: // claims are to be larger
		change(func(set *appsv1.StatefulSet) {
			t := &set.Spec.VolumeClaimTemplates[r.IntN(len(set.Spec.VolumeClaimTemplates))]
			more := t.Spec.Resources.Requests.Storage().DeepCopy()
			more.Add(resource.MustParse("1Gi"))
			t.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: more}
		})
	case 27: // pods are to have another volume
		change(func(set *appsv1.StatefulSet) {
			if len(set.Spec.VolumeClaimTemplates) == 1 {
				set.Spec.VolumeClaimTemplates = append(set.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "more"}})
			}
		})
	case 28:
		change(func(set *appsv1.StatefulSet) {
			set.Spec.PodManagementPolicy = []appsv1.PodManagementPolicyType{appsv1.ParallelPodManagement, appsv1.OrderedReadyPodManagement}[r.IntN(2)]
		})
	case 29, 30:
		change(func(set *appsv1.StatefulSet) {
			set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RecreateStatefulSetStrategyType}
			if r.IntN(3) == 0 {
				set.Spec.UpdateStrategy = web(1).Spec.UpdateStrategy
			}
		})
	case 18:
		annotate(options.UpdateOrder, "ascending", "descending", "role=primary", "role=replica,primary")
	case 19, 20: // a pod gets a role, or is to be replaced
		pod := &corev1.Pod{}
		if err := s.API().Get(t.Context(), key(fmt.Sprintf("web-%d", r.IntN(4))), pod); err == nil {
			pod = pod.DeepCopy()
			label := []string{"role", options.ReplaceLabel}[r.IntN(2)]
			pod.Labels[label] = map[string]string{"role": "primary", options.ReplaceLabel: "true"}[label]
			if err := s.API().Update(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
		}
	case 14:
		annotate(options.OrderedTeardown, "true", "true", "false")
	case 15: // the set is deleted and made anew, now and then over orphans
		set := &appsv1.StatefulSet{}
		if err := s.API().Get(t.Context(), key("web"), set); err != nil {
			return
		}
		again := set.DeepCopy()
		again.ObjectMeta = web(1).ObjectMeta
		policy := []string{"Orphan", "Background", "Foreground"}[r.IntN(3)]
		if err := s.API().Delete(t.Context(), set.DeepCopy(), deletePolicy(policy)); err != nil {
			t.Fatal(err)
		}
		for i := range 4000 {
			if i == 1000 { // what waits for a silent node waits for as long as it is silent
				s.NodesBack()
			}
			if err := s.API().Create(t.Context(), again.DeepCopy()); err == nil {
				return
			}
			if err := s.Run(1); err != nil {
				t.Fatal(err)
			}
		}
		t.Fatalf("a deleted set does not go away:\n%s", tail(s))
	}
}

// mend makes the template good and takes foreign pods out of the way: after
// that there is no reason not to converge.
func mend(t *testing.T, s *sim.Sim) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	if err := s.API().Get(t.Context(), key("web"), set); err != nil {
		t.Fatal(err)
	}
	set = set.DeepCopy()
	set.Spec.Template.Spec.Containers[0].Image = "good:9"
	own := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "own"}}
	if err := s.API().Get(t.Context(), key("own"), own); err != nil || own.Data["1"] == "spec: {nonsense: 1}" {
		_ = s.API().Delete(t.Context(), own.DeepCopy())
		s.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "own"}})
	}
	asked := set.Annotations
	set.Annotations = map[string]string{options.ScaleDownUnready: "true"} // upstream's halt is no way to end
	for _, name := range []string{options.ReserveOrdinals, options.RespectPDB, options.UpdateOrder, options.InPlaceUpdate, options.PrePull, options.Overrides} {
		if value, given := asked[name]; given {
			set.Annotations[name] = value
		}
	}
	if asked[options.InPlaceUpdate] != "" { // a pod whose revision is gone would wait for its user with Only
		set.Annotations[options.InPlaceUpdate] = string(options.IfPossible)
	}
	if *set.Spec.Replicas < 2 { // what a budget never lets go is no way to end either
		delete(set.Annotations, options.RespectPDB)
	}
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
		rolling.Partition = ptr.To(int32(0)) // what is kept at a bad revision stays bad
	}
	if err := s.API().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	pods := &corev1.PodList{}
	if err := s.API().List(t.Context(), pods, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if pods.Items[i].Labels["app"] != "web" {
			pod := pods.Items[i].DeepCopy()
			_ = s.API().Delete(t.Context(), pod, client.GracePeriodSeconds(30))
		}
	}
}

// tail is the end of the trace, without the user's own attempts.
func tail(s *sim.Sim) string {
	lines := slices.DeleteFunc(slices.Clone(s.Trace()), func(line string) bool { return strings.Contains(line, "user: create") })
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
