package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/sim"
)

// The wall clock is set forward and back by a day in the middle of a rollout:
// nobody waits for it, and all ends as it should.
func TestClockJumps(t *testing.T) {
	for kind, w := range workloads {
		if kind == "CronJob" { // what it does then is upstream's: missed starts are made up for
			continue
		}
		for _, by := range []time.Duration{-24 * time.Hour, -10 * time.Minute, 10 * time.Minute} {
			t.Run(fmt.Sprint(kind, "/", by), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(2) {
					s := sim.New(sim.Config{Seed: seed, Loops: append(controllers(), podgc.Loop(10))})
					for i := range 2 {
						s.Create(machine(i))
					}
					obj := w.make()
					switch o := obj.(type) {
					case *appsv1.StatefulSet:
						o.Spec.MinReadySeconds = 5
					case *appsv1.Deployment:
						o.Spec.MinReadySeconds = 5
					case *appsv1.ReplicaSet:
						o.Spec.MinReadySeconds = 5
					case *appsv1.DaemonSet:
						o.Spec.MinReadySeconds = 5
					case *corev1.ReplicationController:
						o.Spec.MinReadySeconds = 5
					}
					s.Create(obj)
					mustRun(t, s.Run(10+int(seed)*3))
					s.Jump(by)
					mustRun(t, s.RunFor(30*time.Second))
					s.Jump(-by)
					mustRun(t, s.RunFor(30*time.Second))
					if n := running(t, s, w.makes); n != w.wants {
						t.Errorf("seed %d: %d run, %d are wanted\n%s", seed, n, w.wants, tail(s))
					}
					if len(s.Failures()) > 0 {
						t.Errorf("seed %d: %+v", seed, s.Failures())
					}
					mustRun(t, s.RunFor(12*time.Minute)) // what was done in the future is past by now
					writes := s.Writes()
					s.Wake()
					mustRun(t, s.RunFor(5*time.Minute))
					if n := s.Writes() - writes; n > 0 {
						t.Errorf("seed %d: %d writes at rest\n%s", seed, n, tail(s))
					}
					if n := running(t, s, w.makes); n != w.wants {
						t.Errorf("seed %d: %d run in the end\n%s", seed, n, tail(s))
					}
				}
			})
		}
	}
}

// A node object is deleted with pods on it: they end, and others take their
// place on the node that is left.
func TestNodeDeletedWithPods(t *testing.T) {
	for kind, w := range workloads {
		if kind == "CronJob" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := sim.New(sim.Config{Seed: 3, Loops: append(controllers(), podgc.Loop(0))})
			for i := range 2 {
				s.Create(machine(i))
			}
			s.Create(w.make())
			mustRun(t, s.RunFor(time.Minute))
			s.Silence("node-1", true) // its agent is gone too
			mustRun(t, s.API().Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}))
			mustRun(t, s.RunFor(5*time.Minute))
			want := w.wants
			if kind == "DaemonSet" {
				want = 1
			}
			pods, left := &corev1.PodList{}, 0
			mustRun(t, s.API().List(t.Context(), pods))
			for i := range pods.Items {
				if p := &pods.Items[i]; p.Spec.NodeName != "node-1" && p.DeletionTimestamp == nil {
					left++
				} else if p.Status.Phase == corev1.PodRunning {
					t.Errorf("pod %s counts as running on a node that is gone", p.Name)
				}
			}
			if kind != "DaemonSet" && strings.Count(strings.Join(s.Trace(), "\n"), "binds") <= want {
				t.Skip("no pod was on that node")
			}
			if left < want-1 {
				t.Errorf("%d pods are left, %d are wanted\n%s", left, want, tail(s))
			}
			if err := s.Hot(time.Time{}); err != nil {
				t.Error(err)
			}
		})
	}
}
