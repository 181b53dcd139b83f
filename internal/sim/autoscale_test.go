package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/controller/autoscale"
	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/controller/replicaset"
	plan "berth.dev/berth/internal/plan/autoscale"
	"berth.dev/berth/internal/sim"
)

// load is what the pods of a ReplicaSet share, as the autoscaler sees it: it
// scales the set, and both that and its measuring may fail.
type load struct {
	*sim.Sim
	r     *rand.Rand
	now   int32   // pods that it needs
	fails float64 // the chance that something fails
	looks []look  // what it was when
}

type look struct {
	at   time.Time
	need int32
}

func (l *load) set() (*appsv1.ReplicaSet, error) {
	rs := &appsv1.ReplicaSet{}
	err := l.API().Get(context.Background(), key("web"), rs)
	return rs.DeepCopy(), err
}

func (l *load) Get(context.Context, string, autoscalingv2.CrossVersionObjectReference) (*autoscalingv1.Scale, schema.GroupResource, error) {
	of := schema.GroupResource{Group: "apps", Resource: "replicasets"}
	if l.r.Float64() < l.fails {
		return nil, of, errors.New("the scale cannot be read")
	}
	rs, err := l.set()
	if err != nil {
		return nil, of, err
	}
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", ResourceVersion: rs.ResourceVersion}}
	scale.Spec.Replicas, scale.Status.Replicas, scale.Status.Selector = *rs.Spec.Replicas, rs.Status.Replicas, "app=web"
	return scale, of, nil
}

func (l *load) Update(ctx context.Context, of schema.GroupResource, scale *autoscalingv1.Scale) error {
	if l.r.Float64() < l.fails {
		return apierrors.NewConflict(of, scale.Name, errors.New("simulated"))
	}
	rs, err := l.set()
	if err != nil {
		return err
	}
	rs.Spec.Replicas = ptr.To(scale.Spec.Replicas)
	if err := l.API().Update(ctx, rs); err != nil {
		return err
	}
	if l.r.Float64() < l.fails {
		return errors.New("written, but the answer is lost")
	}
	return nil
}

func (l *load) Measure(context.Context, string, *autoscalingv2.MetricSpec, labels.Selector) plan.Measured {
	if l.r.Float64() < l.fails {
		return plan.Measured{Err: errors.New("no metrics")}
	}
	l.looks = append(l.looks, look{l.Now(), l.now})
	return plan.Measured{Values: []int64{int64(l.now) * 1000}}
}

// A load goes up and down on a bad day: the number of replicas stays within its
// bounds, it shrinks only when nobody has wanted more for the whole window, and
// once the load stays the number is right and nothing is written any more.
func TestAutoscalerHistories(t *testing.T) {
	steps, changes := 0, 0
	for seed := *firstSeed; seed < *firstSeed+uint64(*histories/10); seed++ {
		s, n := autoscaled(t, seed)
		steps, changes = steps+s.Steps(), changes+n
	}
	t.Logf("%d histories, %d steps, %d changes of the number of replicas", *histories/10, steps, changes)
	if changes == 0 {
		t.Error("nothing was ever scaled")
	}
}

func autoscaled(t *testing.T, seed uint64) (*sim.Sim, int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 61))
	l := &load{r: r, now: 3, fails: 0.1}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	hpa.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		MinReplicas: ptr.To(int32(1 + r.IntN(3))), MaxReplicas: int32(5 + r.IntN(4)),
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"},
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "load"},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(1, resource.DecimalSI)},
		}}},
	}
	window := 5 * time.Minute
	if r.IntN(2) == 0 {
		seconds := int32(30 * r.IntN(5))
		window = time.Duration(seconds) * time.Second
		hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](0), SelectPolicy: ptr.To(autoscalingv2.MaxChangePolicySelect), Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}, {Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
			}},
			ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &seconds, SelectPolicy: ptr.To(autoscalingv2.MaxChangePolicySelect), Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
			}},
		}
	}
	before, changes := int32(3), 0
	check := func(s *sim.Sim) error {
		rs, err := l.set()
		if err != nil {
			return err
		}
		n := *rs.Spec.Replicas
		if n < *hpa.Spec.MinReplicas || n > hpa.Spec.MaxReplicas {
			return fmt.Errorf("%d replicas, allowed are %d to %d", n, *hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas)
		}
		if n != before {
			changes++
		}
		for _, seen := range l.looks {
			if n < before && n < min(seen.need, hpa.Spec.MaxReplicas) && s.Now().Sub(seen.at) < window {
				return fmt.Errorf("shrinks from %d to %d, and %s ago %d were needed: the window is %s", before, n, s.Now().Sub(seen.at), seen.need, window)
			}
		}
		before = n
		return nil
	}
	faults := sim.AllFaults
	faults.DeletePod = 0
	l.Sim = sim.New(sim.Config{
		Seed: seed, Faults: faults, Check: []func(*sim.Sim) error{check},
		Loops: []loop.Loop{autoscale.Loop(l, l), replicaset.Loop()},
	})
	l.Create(replicas("web", 3), hpa)
	for range 3 + r.IntN(6) {
		mustRun(t, l.RunFor(time.Duration(r.IntN(400))*time.Second))
		l.now = int32(r.IntN(11))
	}
	l.Calm()
	l.NodesBack()
	l.fails = 0
	mustRun(t, l.RunFor(12*time.Minute))
	want := min(max(l.now, *hpa.Spec.MinReplicas), hpa.Spec.MaxReplicas)
	if before != want {
		t.Fatalf("seed %d: %d replicas for a load of %d\n%s", seed, before, l.now, tail(l.Sim))
	}
	if err := l.Converged(); err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, tail(l.Sim))
	}
	writes := l.Writes()
	l.Wake()
	mustRun(t, l.RunFor(5*time.Minute))
	if n := l.Writes() - writes; n != 0 {
		t.Fatalf("seed %d: %d writes at rest\n%s", seed, n, tail(l.Sim))
	}
	return l.Sim, changes
}

func mustRun(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
