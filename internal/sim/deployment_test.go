package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/deployment"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/replicaset"
	"berth.dev/berth/internal/sim"
)

func deployed(n int32) *appsv1.Deployment {
	labels := map[string]string{"app": "front"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "front", Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(n), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromString("25%")), MaxUnavailable: ptr.To(intstr.FromString("25%")),
			}},
			RevisionHistoryLimit: ptr.To(int32(3)), ProgressDeadlineSeconds: ptr.To(int32(600)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "good:1"}}},
			},
		},
	}
}

func deploymentSim(seed uint64, faults sim.Faults, checks ...func(*sim.Sim) error) *sim.Sim {
	return sim.New(sim.Config{Seed: seed, Loops: []loop.Loop{deployment.Loop(), replicaset.Loop()}, Faults: faults, Check: checks})
}

func editDeployment(t *testing.T, s *sim.Sim, f func(*appsv1.Deployment)) {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := s.API().Get(t.Context(), key("front"), d); err != nil {
		t.Fatal(err)
	}
	d = d.DeepCopy()
	f(d)
	if err := s.API().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// TestDeploymentHistories lets a user change a Deployment in every way at any
// moment of a bad day, and asks that it ends as the last spec says.
func TestDeploymentHistories(t *testing.T) {
	steps, writes, n := 0, 0, uint64(*histories/6)
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		r := rand.New(rand.NewPCG(seed, 9))
		faults := sim.AllFaults
		if r.IntN(3) == 0 {
			faults = sim.Faults{Stale: 0.5}
		}
		s := deploymentSim(seed, faults)
		s.Create(deployed(int32(r.IntN(6))))
		for range 1 + r.IntN(8) {
			if err := s.Run(r.IntN(200)); err != nil {
				t.Fatal(err)
			}
			changeDeployment(t, s, r)
		}
		editDeployment(t, s, func(d *appsv1.Deployment) {
			d.Spec.Paused = false
			d.Spec.Template.Spec.Containers[0].Image = "good:9"
		})
		rest(t, s, seed)
		steps, writes = steps+s.Steps(), writes+s.Writes()
	}
	t.Logf("%d histories, %d steps, %d writes by loops", n, steps, writes)
}

func changeDeployment(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	switch r.IntN(12) {
	case 0, 1, 2:
		editDeployment(t, s, func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = []string{"good:1", "good:2", "good:3", "bad", "unready", "crash"}[r.IntN(6)]
		})
	case 3, 4:
		editDeployment(t, s, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To(int32(r.IntN(8))) })
	case 5:
		editDeployment(t, s, func(d *appsv1.Deployment) { d.Spec.Paused = !d.Spec.Paused })
	case 6:
		editDeployment(t, s, func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		})
	case 7:
		editDeployment(t, s, func(d *appsv1.Deployment) {
			surge, unavailable := r.IntN(4), r.IntN(4)
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: ptr.To(intstr.FromInt(surge)), MaxUnavailable: ptr.To(intstr.FromInt(max(unavailable, 1))),
			}}
		})
	case 8:
		editDeployment(t, s, func(d *appsv1.Deployment) {
			d.SetAnnotations(map[string]string{"note": fmt.Sprint(r.IntN(3)), "deployment.kubernetes.io/revision": d.Annotations["deployment.kubernetes.io/revision"]})
			d.Spec.MinReadySeconds = int32(r.IntN(2) * 5)
		})
	case 9: // somebody scales a set by hand, or sends it to somebody else
		sets := &appsv1.ReplicaSetList{}
		if err := s.API().List(t.Context(), sets); err != nil || len(sets.Items) == 0 {
			return
		}
		rs := sets.Items[r.IntN(len(sets.Items))].DeepCopy()
		if r.IntN(3) > 0 {
			rs.Spec.Replicas = ptr.To(int32(r.IntN(4)))
		} else {
			rs.Labels["team"] = fmt.Sprint(r.IntN(2))
		}
		if err := s.API().Update(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
	case 10: // or deletes one
		sets := &appsv1.ReplicaSetList{}
		if err := s.API().List(t.Context(), sets); err != nil || len(sets.Items) == 0 {
			return
		}
		policy := []string{"Orphan", "Background", "Foreground"}[r.IntN(3)]
		if err := s.API().Delete(t.Context(), sets.Items[r.IntN(len(sets.Items))].DeepCopy(), deletePolicy(policy)); err != nil {
			t.Fatal(err)
		}
	case 11: // deleted and made anew, now and then over orphans
		d := deployed(3)
		if err := s.API().Delete(t.Context(), d.DeepCopy(), deletePolicy([]string{"Orphan", "Background", "Foreground"}[r.IntN(3)])); err != nil {
			t.Fatal(err)
		}
		for i := range 4000 {
			if i == 1000 {
				s.NodesBack()
			}
			if err := s.API().Create(t.Context(), d.DeepCopy()); err == nil {
				return
			}
			if err := s.Run(1); err != nil {
				t.Fatal(err)
			}
		}
		t.Fatalf("a deleted Deployment does not go away:\n%s", tail(s))
	}
}

// While only caches are late and nobody interferes, a rollout never has more pods
// than the surge allows, nor fewer that serve than must, nor both templates'
// pods with Recreate.
func TestRolloutKeepsItsBounds(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 10))
		replicas, surge, unavailable := 1+r.IntN(6), r.IntN(3), r.IntN(3)
		recreate := r.IntN(4) == 0
		rolling := false
		s := deploymentSim(seed, sim.Faults{Stale: 0.6, Conflict: 0.02, Restart: 0.01}, func(s *sim.Sim) error {
			pods := &corev1.PodList{}
			if err := s.API().List(t.Context(), pods); err != nil || !rolling {
				return err
			}
			n, serving, images := 0, 0, map[string]bool{}
			for i := range pods.Items {
				pod := &pods.Items[i]
				images[pod.Spec.Containers[0].Image] = true
				if pod.DeletionTimestamp == nil {
					n++
					if ready := pod.Status.Conditions; len(ready) > 0 && ready[len(ready)-1].Status == corev1.ConditionTrue {
						serving++
					}
				}
			}
			switch {
			case recreate && len(images) > 1:
				return fmt.Errorf("pods of %v live at once", images)
			case !recreate && (n > replicas+surge || serving < replicas-unavailable):
				return fmt.Errorf("%d pods of at most %d, %d serve of at least %d", n, replicas+surge, serving, replicas-unavailable)
			}
			return nil
		})
		d := deployed(int32(replicas))
		if surge+unavailable == 0 {
			unavailable = 1
		}
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: ptr.To(intstr.FromInt(surge)), MaxUnavailable: ptr.To(intstr.FromInt(unavailable))}
		if recreate {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		}
		s.Create(d)
		if err := s.Run(3000); err != nil {
			t.Fatal(err)
		}
		rolling = true
		for _, image := range []string{"good:2", "bad:3", "good:4"} {
			editDeployment(t, s, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
			if recreate {
				if err := s.Run(3000); err != nil { // an old pod that is asked for lives until it is told otherwise
					t.Fatal(err)
				}
			} else if err := s.Run(r.IntN(400)); err != nil {
				t.Fatal(err)
			}
		}
		rest(t, s, seed)
	}
}
