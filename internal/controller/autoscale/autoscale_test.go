package autoscale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/autoscale"
)

// world is autoscalers, one target whose replicas share a load, and a clock.
type world struct {
	t        *testing.T
	api      client.Client
	clock    *clocktesting.FakeClock
	loop     reconcile.Reconciler
	replicas int32
	load     int64
	measured int      // how often
	written  int      // statuses
	conflict int      // answers to the next writes of the scale
	refused  error    // what else the writes of the scale are answered
	writes   int      // of the scale
	broken   error    // the metrics are
	deaf     error    // the target is
	told     []string // events
}

func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	w := &world{t: t, clock: clocktesting.NewFakeClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), replicas: 1}
	w.api = fake.NewClientBuilder().WithScheme(scheme.Scheme).WithStatusSubresource(&autoscalingv2.HorizontalPodAutoscaler{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, part string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			w.written++
			return c.SubResource(part).Update(ctx, obj, opts...)
		}}).Build()
	w.loop = Loop(w, w).New(loop.Env{Cache: w.api, Live: w.api, Write: w.api, Events: w, Clock: w.clock})
	for i := range 10 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("web-", i), Labels: map[string]string{"app": "web"}}}
		pod.Status.Phase = corev1.PodRunning
		w.must(w.api.Create(t.Context(), pod))
	}
	for _, name := range names {
		w.must(w.api.Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Generation: 1},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 10, Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ExternalMetricSourceType,
				External: &autoscalingv2.ExternalMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: "load"},
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(1, resource.DecimalSI)},
				},
			}}},
		}))
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Event(_ runtime.Object, _, reason, message string) {
	w.told = append(w.told, reason+": "+message)
}

func (w *world) Get(_ context.Context, namespace string, _ autoscalingv2.CrossVersionObjectReference) (*autoscalingv1.Scale, schema.GroupResource, error) {
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	scale.Spec.Replicas, scale.Status.Replicas, scale.Status.Selector = w.replicas, w.replicas, "app=web"
	return scale, schema.GroupResource{}, w.deaf
}

func (w *world) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale) error {
	w.writes++
	if w.refused != nil {
		return w.refused
	}
	if w.conflict > 0 {
		w.conflict--
		return apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "web", errors.New("it was changed"))
	}
	w.replicas = scale.Spec.Replicas
	return nil
}

func (w *world) Measure(context.Context, string, *autoscalingv2.MetricSpec, labels.Selector) plan.Measured {
	w.measured++
	return plan.Measured{Values: []int64{w.load * 1000}, Err: w.broken}
}

// look lets the loop look at an autoscaler and returns when it wants to again.
func (w *world) look(name string) time.Duration {
	w.t.Helper()
	w.told = nil
	result, err := w.loop.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: name}})
	w.must(err)
	return result.RequeueAfter
}

func (w *world) status(name string) autoscalingv2.HorizontalPodAutoscalerStatus {
	w.t.Helper()
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	w.must(w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, hpa))
	return hpa.Status
}

func (w *world) says(words string) {
	w.t.Helper()
	if all := strings.Join(w.told, "\n"); !strings.Contains(all, words) {
		w.t.Errorf("no %q in\n%s", words, all)
	}
}

func TestTheTargetFollowsTheLoad(t *testing.T) {
	w := newWorld(t, "web")
	w.load = 3
	if again := w.look("web"); again != Period || w.replicas != 3 {
		t.Fatalf("%d replicas, again in %s", w.replicas, again)
	}
	w.says("SuccessfulRescale: New size: 3; reason: external metric load(nil) above target")
	if s := w.status("web"); s.DesiredReplicas != 3 || s.CurrentReplicas != 1 || s.LastScaleTime == nil || len(s.Conditions) != 3 {
		t.Errorf("%+v", s)
	}

	// Woken too early, it does nothing.
	w.clock.Step(5 * time.Second)
	if again, asked := w.look("web"), w.measured; again != 10*time.Second || asked != 1 {
		t.Errorf("again in %s, asked %d times", again, asked)
	}

	// What stays as it is is not written.
	w.clock.Step(10 * time.Second)
	w.look("web")
	before := w.written
	for range 20 {
		w.clock.Step(Period)
		w.look("web")
	}
	if w.written != before || w.measured != 22 {
		t.Errorf("%d statuses in 5 quiet minutes, asked %d times", w.written-before, w.measured)
	}

	w.load = 1
	for range 25 {
		w.clock.Step(Period)
		w.look("web")
	}
	if w.replicas != 1 {
		t.Errorf("%d replicas when the load was gone", w.replicas)
	}
}

// Somebody's change of the spec is looked at at once; the status is our own.
func TestOnlyTheSpecWakes(t *testing.T) {
	at := func(generation int64, uid types.UID) client.Object {
		return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Generation: generation, UID: uid}}
	}
	for what, c := range map[string]struct {
		event loop.Event
		wakes bool
	}{
		"new": {loop.Event{New: at(1, "a")}, true}, "gone": {loop.Event{Old: at(1, "a")}, true},
		"spec": {loop.Event{Old: at(1, "a"), New: at(2, "a")}, true}, "status": {loop.Event{Old: at(1, "a"), New: at(1, "a")}, false},
		"another": {loop.Event{Old: at(1, "a"), New: at(1, "b")}, true},
	} {
		if got := onSpec(t.Context(), nil, c.event); (len(got) > 0) != c.wakes {
			t.Errorf("%s wakes %v", what, got)
		}
	}
	w := newWorld(t, "web")
	w.load = 1
	w.look("web")
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	w.must(w.api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, hpa))
	five := int32(5)
	hpa.Generation, hpa.Spec.MinReplicas = 2, &five
	w.must(w.api.Update(t.Context(), hpa))
	w.clock.Step(time.Second)
	if w.look("web"); w.replicas != 5 {
		t.Errorf("%d replicas", w.replicas)
	}
}

// Nothing that fails is tried more often than every period.
func TestFailuresWait(t *testing.T) {
	w := newWorld(t, "web")
	w.load, w.broken = 5, errors.New("no metrics")
	if again := w.look("web"); again != Period || w.replicas != 1 {
		t.Errorf("%d replicas, again in %s", w.replicas, again)
	}
	w.says("FailedGetExternalMetric: failed to get load external metric: unable to get external metric default/load/nil: no metrics")
	w.says("FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1)")

	w.clock.Step(Period)
	w.deaf = errors.New(`deployments.apps "web" not found`)
	if again := w.look("web"); again != Period {
		t.Errorf("again in %s", again)
	}
	w.says(`FailedGetScale: deployments.apps "web" not found`)
	if c := w.status("web").Conditions[0]; c.Type != autoscalingv2.AbleToScale || c.Status != corev1.ConditionFalse ||
		c.Message != `the HPA controller was unable to get the target's current scale: deployments.apps "web" not found` {
		t.Errorf("%+v", c)
	}

	w.clock.Step(Period)
	w.deaf, w.broken, w.conflict = nil, nil, 2
	if w.look("web"); w.replicas != 4 { // four at once, from one
		t.Errorf("%d replicas after two conflicts", w.replicas)
	}
	w.clock.Step(Period)
	w.conflict = 100
	if w.look("web"); w.conflict != 100-conflicts || w.replicas != 4 {
		t.Errorf("%d conflicts left, %d replicas", w.conflict, w.replicas)
	}
	w.says("FailedRescale: New size: 5; reason: external metric load(nil) above target; error: Operation cannot be fulfilled")
}

// A scale that may not be written, or not so, is told of once and written again
// a period later, when it may be.
func TestRefusedScales(t *testing.T) {
	group := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, refused := range map[string]error{
		"forbidden": apierrors.NewForbidden(group, "web", errors.New("exceeded quota: few")),
		"conflict":  apierrors.NewConflict(group, "web", errors.New("it was changed")),
		"invalid": apierrors.NewInvalid(schema.GroupKind{Group: "autoscaling", Kind: "Scale"}, "web",
			field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"), 4, "too many")}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "web")
			w.load, w.refused = 4, refused
			if again := w.look("web"); again != Period || w.replicas != 1 {
				t.Errorf("%d replicas, again in %s", w.replicas, again)
			}
			tries := 1
			if apierrors.IsConflict(refused) {
				tries = conflicts
			}
			if w.writes != tries {
				t.Errorf("written %d times, want %d", w.writes, tries)
			}
			w.says("FailedRescale: New size: 4; reason: external metric load(nil) above target; error: " + refused.Error())
			var able *autoscalingv2.HorizontalPodAutoscalerCondition
			status := w.status("web")
			for i := range status.Conditions {
				if c := &status.Conditions[i]; c.Type == autoscalingv2.AbleToScale {
					able = c
				}
			}
			if able == nil || able.Status != corev1.ConditionFalse || able.Reason != "FailedUpdateScale" ||
				able.Message != "the HPA controller was unable to update the target scale: "+refused.Error() {
				t.Errorf("%+v", able)
			}
			if status.DesiredReplicas != 0 || status.LastScaleTime != nil { // as before
				t.Errorf("desired %d, scaled last %v", status.DesiredReplicas, status.LastScaleTime)
			}
			w.clock.Step(Period)
			w.refused = nil
			if w.look("web"); w.replicas != 4 {
				t.Errorf("%d replicas when it may be written", w.replicas)
			}
			w.says("SuccessfulRescale: New size: 4; reason: external metric load(nil) above target")
		})
	}
}

// Two autoscalers of the same pods do nothing, until one is gone.
func TestRivals(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.load = 1
	w.look("a")
	w.look("b")
	w.clock.Step(Period)
	w.load = 5
	w.look("a")
	w.says("AmbiguousSelector: pods by selector app=web are controlled by multiple HPAs: [{a default} {b default}]")
	if w.replicas != 1 {
		t.Errorf("%d replicas", w.replicas)
	}
	w.must(w.api.Delete(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b"}}))
	w.clock.Step(Period)
	if w.look("a"); w.replicas != 4 {
		t.Errorf("%d replicas", w.replicas)
	}
	if again := w.look("b"); again != 0 {
		t.Errorf("the deleted one is looked at again in %s", again)
	}
}
