package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/daemonset"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/sim"
)

func daemons(name string) *appsv1.DaemonSet {
	labels := map[string]string{"app": name}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, RevisionHistoryLimit: ptr.To(int32(2)),
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{
				MaxUnavailable: ptr.To(intstr.FromInt32(1)), MaxSurge: ptr.To(intstr.FromInt32(0)),
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "log", Image: "good:1"}}},
			},
		},
	}
}

func machine(i int) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i), Labels: map[string]string{"disk": "ssd"}}}
}

// Users change a DaemonSet, and administrators their nodes, on bad days; in the
// end each node that is to have a pod has one, no other has any, and nothing is
// written any more.
func TestDaemonSetHistories(t *testing.T) {
	steps, writes, n := 0, 0, uint64(*histories/3)
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		r := rand.New(rand.NewPCG(seed, 31))
		faults := sim.AllFaults
		if r.IntN(3) == 0 {
			faults = sim.Faults{Stale: 0.5}
		}
		s := sim.New(sim.Config{Seed: seed, Nodes: 4, Loops: []loop.Loop{daemonset.Loop(), podgc.Loop(0)}, Faults: faults})
		for i := range 4 {
			s.Create(machine(i))
		}
		s.Create(daemons("log"))
		for range 1 + r.IntN(10) {
			if err := s.Run(r.IntN(150)); err != nil {
				t.Fatal(err)
			}
			changeDaemons(t, s, r)
		}
		editDaemons(t, s, func(d *appsv1.DaemonSet) {
			d.Spec.Template.Spec.Containers[0].Image = "good:9"
			if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
				d.Spec.UpdateStrategy = daemons("log").Spec.UpdateStrategy
			}
		})
		rest(t, s, seed)
		steps, writes = steps+s.Steps(), writes+s.Writes()
	}
	t.Logf("%d histories, %d steps, %d writes by loops", n, steps, writes)
}

func editDaemons(t *testing.T, s *sim.Sim, f func(*appsv1.DaemonSet)) {
	t.Helper()
	d := &appsv1.DaemonSet{}
	if err := s.API().Get(t.Context(), key("log"), d); err != nil {
		t.Fatal(err)
	}
	d = d.DeepCopy()
	f(d)
	if err := s.API().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func changeDaemons(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	switch r.IntN(10) {
	case 0, 1, 2:
		editDaemons(t, s, func(d *appsv1.DaemonSet) {
			d.Spec.Template.Spec.Containers[0].Image = []string{"good:1", "good:2", "good:3", "bad", "unready", "fails"}[r.IntN(6)]
		})
	case 3:
		editDaemons(t, s, func(d *appsv1.DaemonSet) {
			u := &d.Spec.UpdateStrategy
			u.Type, u.RollingUpdate = appsv1.RollingUpdateDaemonSetStrategyType, &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromInt(0)), MaxSurge: ptr.To(intstr.FromInt(0))}
			switch r.IntN(3) {
			case 0:
				u.Type, u.RollingUpdate = appsv1.OnDeleteDaemonSetStrategyType, nil
			case 1:
				u.RollingUpdate.MaxSurge = ptr.To(intstr.FromInt(1 + r.IntN(3)))
			case 2:
				u.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromString(fmt.Sprint(1+r.IntN(100), "%")))
			}
		})
	case 4:
		editDaemons(t, s, func(d *appsv1.DaemonSet) { d.Spec.MinReadySeconds = int32(r.IntN(2) * 5) })
	case 5, 6:
		changeMachine(t, s, r)
	case 7:
		editDaemons(t, s, func(d *appsv1.DaemonSet) {
			d.Spec.Template.Spec.NodeSelector = []map[string]string{nil, {"disk": "ssd"}, {"disk": "hdd"}}[r.IntN(3)]
		})
	case 8: // somebody's pod of one's own, on a node of his choice
		s.Create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "own-", Labels: map[string]string{"app": "log"}},
			Spec:       corev1.PodSpec{NodeName: fmt.Sprint("node-", r.IntN(4)), Containers: []corev1.Container{{Name: "c", Image: "good:1"}}},
		})
	case 9:
		remakeDaemons(t, s, r)
	}
}

// changeMachine changes a node, or takes it away until the next change.
func changeMachine(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	i := r.IntN(4)
	node := &corev1.Node{}
	if err := s.API().Get(t.Context(), client.ObjectKey{Name: fmt.Sprint("node-", i)}, node); apierrors.IsNotFound(err) {
		s.Create(machine(i))
		return
	}
	node = node.DeepCopy()
	if r.IntN(4) == 0 {
		if err := s.API().Delete(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		return
	}
	node.Labels["disk"] = []string{"ssd", "hdd"}[r.IntN(2)]
	node.Spec.Taints = nil
	if effect := []corev1.TaintEffect{"", "NoSchedule", "NoExecute"}[r.IntN(3)]; effect != "" {
		node.Spec.Taints = []corev1.Taint{{Key: "own", Effect: effect}}
	}
	if err := s.API().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}

// remakeDaemons deletes the set and makes it anew, now and then over its orphans.
func remakeDaemons(t *testing.T, s *sim.Sim, r *rand.Rand) {
	t.Helper()
	d := &appsv1.DaemonSet{}
	if err := s.API().Get(t.Context(), key("log"), d); err != nil {
		t.Fatal(err)
	}
	if err := s.API().Delete(t.Context(), d.DeepCopy(), deletePolicy([]string{"Orphan", "Background", "Foreground"}[r.IntN(3)])); err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		if i == 1000 {
			s.NodesBack()
		}
		if err := s.API().Create(t.Context(), daemons("log")); err == nil {
			return
		}
		if err := s.Run(1); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("a deleted set does not go away:\n%s", tail(s))
}
