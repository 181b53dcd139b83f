package sim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/controller/autoscale"
	"berth.dev/berth/internal/controller/disruption"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/sim"
)

// template is what a workload makes its pods of; nil for one that cannot change it.
func template(obj client.Object) *corev1.PodTemplateSpec {
	switch o := obj.(type) {
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template
	case *appsv1.DaemonSet:
		return &o.Spec.Template
	case *corev1.ReplicationController:
		return o.Spec.Template
	}
	return nil
}

// roll gives a workload another image.
func roll(t *testing.T, s *sim.Sim, obj client.Object) {
	t.Helper()
	mustRun(t, s.API().Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
	changed := obj.DeepCopyObject().(client.Object)
	if template := template(changed); template != nil {
		template.Spec.Containers[0].Image = "good:2"
		mustRun(t, s.API().Update(t.Context(), changed))
	}
}

// contents are the objects of the namespace, those that make others last.
func contents(t *testing.T, s *sim.Sim) []client.Object {
	t.Helper()
	var all []client.Object
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &appsv1.ControllerRevisionList{}, &appsv1.ReplicaSetList{}, &batchv1.JobList{},
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{}, &corev1.ReplicationControllerList{}, &batchv1.CronJobList{},
	} {
		mustRun(t, s.API().List(t.Context(), list))
		mustRun(t, meta.EachListItem(list, func(obj runtime.Object) error {
			all = append(all, obj.DeepCopyObject().(client.Object))
			return nil
		}))
	}
	return all
}

// A namespace is deleted in the middle of a rollout: its contents go in any
// order, nothing is made in it any more, nothing stays, and what is refused is
// no hot loop.
func TestNamespaceDeletedMidRoll(t *testing.T) {
	for kind, w := range workloads {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(6) {
				r := rand.New(rand.NewPCG(seed, 71))
				terminating := false
				s := sim.New(sim.Config{Seed: seed, Loops: controllers(), Refuse: func(_, verb string, obj client.Object) error {
					if !terminating || verb != "create" {
						return nil
					}
					err := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, obj.GetName(), errors.New("unable to create new content in namespace default because it is being terminated"))
					err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
					return err
				}})
				for i := range 2 {
					s.Create(machine(i))
				}
				obj := w.make()
				s.Create(obj)
				mustRun(t, s.RunFor(90*time.Second))
				roll(t, s, obj)
				mustRun(t, s.Run(r.IntN(12)))
				terminating = true
				begun := s.Now()
				for range 40 {
					if all := contents(t, s); len(all) > 0 {
						gone := all[r.IntN(len(all))]
						if seed%2 == 0 { // the worst order: who makes others goes last
							gone = all[0]
						}
						mustRun(t, client.IgnoreNotFound(s.API().Delete(t.Context(), gone, client.PropagationPolicy(metav1.DeletePropagationBackground))))
					}
					mustRun(t, s.RunFor(500*time.Millisecond))
					s.Wake()
				}
				for _, obj := range contents(t, s) {
					mustRun(t, client.IgnoreNotFound(s.API().Delete(t.Context(), obj)))
				}
				mustRun(t, s.RunFor(2*time.Minute))
				if left := contents(t, s); len(left) > 0 {
					t.Errorf("seed %d: %T %s stays\n%s", seed, left[0], left[0].GetName(), tail(s))
				}
				if err := s.Hot(begun); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// Two workloads of a kind that select the same pods: each has its own, nobody
// takes one away from the other, and nothing is written any more.
func TestSelectorsThatOverlap(t *testing.T) {
	for kind, w := range workloads {
		if kind == "CronJob" { // it has no selector
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				s := sim.New(sim.Config{Seed: seed, Loops: controllers(), Faults: sim.Faults{Stale: 0.3, Conflict: 0.02, Error: 0.02, Crash: 0.01}})
				for i := range 2 {
					s.Create(machine(i))
				}
				one, other := w.make(), w.make()
				other.SetName("other")
				s.Create(one, other)
				mustRun(t, s.Run(150))
				roll(t, s, one)
				mustRun(t, s.Run(150))
				settled(t, s)
				owners := map[types.UID]string{one.GetUID(): one.GetName(), other.GetUID(): other.GetName()}
				sets := &appsv1.ReplicaSetList{}
				mustRun(t, s.API().List(t.Context(), sets))
				for i := range sets.Items {
					if up := metav1.GetControllerOf(&sets.Items[i]); up != nil {
						owners[sets.Items[i].UID] = owners[up.UID]
					}
				}
				pods, has := &corev1.PodList{}, map[string]int{}
				mustRun(t, s.API().List(t.Context(), pods))
				for i := range pods.Items {
					if pod := &pods.Items[i]; pod.DeletionTimestamp == nil {
						has[owners[metav1.GetControllerOf(pod).UID]]++
					}
				}
				if len(has) != 2 || has[one.GetName()] != w.wants || has["other"] != w.wants {
					t.Errorf("seed %d: %v, each wants %d\n%s", seed, has, w.wants, tail(s))
				}
				before := s.Writes()
				s.Wake()
				settled(t, s)
				if n := s.Writes() - before; n > 0 {
					t.Errorf("seed %d: %d writes at rest\n%s", seed, n, tail(s))
				}
			}
		})
	}
}

// A per cent of two pods is less than one: a rollout goes on all the same, one
// by one, as upstream's does. Of no pods at all it is nothing.
func TestPercentOfLittle(t *testing.T) {
	little := intstr.FromString("1%")
	for kind, w := range workloads {
		for _, n := range []int32{0, 2} {
			obj := w.make()
			switch o := obj.(type) {
			case *appsv1.StatefulSet:
				o.Spec.Replicas, o.Spec.UpdateStrategy.RollingUpdate = &n, &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: &little}
			case *appsv1.Deployment:
				o.Spec.Replicas, o.Spec.Strategy.RollingUpdate.MaxSurge, o.Spec.Strategy.RollingUpdate.MaxUnavailable = &n, ptr.To(intstr.FromString("0%")), &little
			case *appsv1.DaemonSet:
				if n == 0 {
					o.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "none"}
				}
				o.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &little
			default:
				continue
			}
			t.Run(fmt.Sprint(kind, "/", n), func(t *testing.T) {
				t.Parallel()
				s := sim.New(sim.Config{Seed: 5, Loops: append(controllers(), disruption.Loop(nil))})
				for i := range 2 {
					s.Create(machine(i))
				}
				guard := budget(0)
				guard.Spec.MinAvailable = ptr.To(intstr.FromString("50%"))
				s.Create(obj, guard)
				mustRun(t, s.RunFor(time.Minute))
				roll(t, s, obj)
				mustRun(t, s.RunFor(3*time.Minute))
				pods := &corev1.PodList{}
				mustRun(t, s.API().List(t.Context(), pods))
				for i := range pods.Items {
					if image := pods.Items[i].Spec.Containers[0].Image; image != "good:2" {
						t.Errorf("%s still has %s\n%s", pods.Items[i].Name, image, tail(s))
					}
				}
				if len(pods.Items) != int(n) || len(s.Failures()) > 0 {
					t.Errorf("%d pods, %d are wanted; %+v", len(pods.Items), n, s.Failures())
				}
			})
		}
	}
}

// An autoscaler whose status, or whose scaling, is refused for ever, while
// something wakes it five times a second, tries no more than once a second.
func TestAutoscalerRefused(t *testing.T) {
	for _, what := range []string{"status", "scale"} {
		t.Run(what, func(t *testing.T) {
			refused := true
			l := &load{r: rand.New(rand.NewPCG(1, 61)), now: 4}
			if what == "scale" {
				l.fails = 1 // of its tries to scale, and to measure
			}
			l.Sim = sim.New(sim.Config{Seed: 1, Loops: []loop.Loop{autoscale.Loop(l, l)}, Refuse: func(_, verb string, obj client.Object) error {
				if refused && what == "status" && verb == "update status" {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "horizontalpodautoscalers"}, obj.GetName(), errors.New("admission says no"))
				}
				return nil
			}})
			hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
			hpa.Spec.MaxReplicas, hpa.Spec.Metrics = 5, []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType}}
			l.Create(replicas("web", 1), hpa)
			begun := l.Now()
			for range 300 {
				mustRun(t, l.RunFor(200*time.Millisecond))
				l.Wake()
			}
			if err := l.Hot(begun.Add(10 * time.Second)); err != nil {
				t.Error(err)
			}
			refused, l.fails = false, 0
			mustRun(t, l.RunFor(2*time.Minute))
			mustRun(t, l.API().Get(t.Context(), client.ObjectKeyFromObject(hpa), hpa))
			if len(hpa.Status.Conditions) == 0 {
				t.Errorf("once it may, it says nothing\n%s", tail(l.Sim))
			}
		})
	}
}
