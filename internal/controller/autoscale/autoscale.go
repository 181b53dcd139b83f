// Package autoscale is the loop of HorizontalPodAutoscalers: every fifteen
// seconds it reads a target's scale and what its pods use, asks plan/autoscale
// how many replicas there should be, and writes the scale. Where there is no
// autoscaler nothing runs.
package autoscale

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/autoscale"
)

const (
	// User is the loop's identity.
	User = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
	// Period is how often an autoscaler looks at its target.
	Period = 15 * time.Second

	workers = 5
	// conflicts is how often a scale is written that others write too.
	conflicts = 5
)

// Targets are objects of any kind that can be scaled.
type Targets interface {
	// Get reads a target's scale; the resource is what Update wants to know.
	Get(ctx context.Context, namespace string, target autoscalingv2.CrossVersionObjectReference) (*autoscalingv1.Scale, schema.GroupResource, error)
	Update(ctx context.Context, resource schema.GroupResource, scale *autoscalingv1.Scale) error
}

// Metrics measure.
type Metrics interface {
	Measure(ctx context.Context, namespace string, metric *autoscalingv2.MetricSpec, selector labels.Selector) plan.Measured
}

// Loop declares the loop.
func Loop(targets Targets, metrics Metrics) loop.Loop {
	return loop.Loop{
		Name: "horizontal-pod-autoscaler", Source: "horizontal-pod-autoscaler", User: User, Workers: workers,
		Watches: []loop.Watch{
			{Kind: &autoscalingv2.HorizontalPodAutoscaler{}, Map: onSpec},
			{Kind: &corev1.Pod{}},
		},
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), targets: targets, metrics: metrics, known: map[types.NamespacedName]known{}}
		},
	}
}

// onSpec wakes an autoscaler that somebody has changed. Its status is our own.
func onSpec(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.Old != nil && ev.New != nil && ev.Old.GetUID() == ev.New.GetUID() && ev.Old.GetGeneration() == ev.New.GetGeneration() {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.Object())}}
}

type reconciler struct {
	env     loop.Env
	own     *loop.OwnWrites
	targets Targets
	metrics Metrics

	mu    sync.Mutex
	known map[types.NamespacedName]known
}

// known is what is remembered of an autoscaler.
type known struct {
	uid        types.UID
	generation int64
	due        time.Time // when it is looked at again
	memory     plan.Memory
	selector   labels.Selector // of its pods; nil before it is known
}

// Reconcile looks at one autoscaler if its time has come.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, hpa); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now := r.env.Clock.Now()
	k := r.remembered(hpa)
	if left := k.due.Sub(now); left > 0 && k.generation == hpa.Generation {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	outcome, selector := r.look(ctx, hpa, k.memory)
	k.memory, k.selector = outcome.Memory, selector
	r.remember(req.NamespacedName, k)
	for _, e := range outcome.Events {
		r.env.Events.Event(hpa, e.Type, e.Reason, e.Message)
	}
	if outcome.Changed {
		next := hpa.DeepCopy()
		next.Status = outcome.Status
		if err := r.own.Writer(req.NamespacedName).Status().Update(ctx, next); client.IgnoreNotFound(err) != nil {
			if !apierrors.IsConflict(err) {
				r.env.Events.Event(hpa, corev1.EventTypeWarning, "FailedUpdateStatus", err.Error())
			}
			return reconcile.Result{}, fmt.Errorf("status of HorizontalPodAutoscaler %s: %w", req, err)
		}
	}
	k.due, k.generation = now.Add(Period), hpa.Generation
	r.remember(req.NamespacedName, k)
	return reconcile.Result{RequeueAfter: Period}, nil
}

// look measures, decides and scales.
func (r *reconciler) look(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, memory plan.Memory) (plan.Outcome, labels.Selector) {
	scale, resource, err := r.targets.Get(ctx, hpa.Namespace, hpa.Spec.ScaleTargetRef)
	if err != nil {
		return plan.Unreachable(hpa, memory, err, r.env.Clock.Now()), nil
	}
	facts := plan.Facts{HPA: hpa, Scale: scale, Memory: memory, Settings: plan.Defaults}
	selector, needed := plan.Look(hpa, scale)
	if needed {
		if facts.Pods, err = r.pods(ctx, hpa.Namespace, selector); err != nil {
			return plan.Unreachable(hpa, memory, err, r.env.Clock.Now()), selector
		}
		facts.Autoscalers = r.selecting(ctx, client.ObjectKeyFromObject(hpa), facts.Pods)
		facts.Measured = make([]plan.Measured, len(hpa.Spec.Metrics))
		for i := range hpa.Spec.Metrics {
			if len(facts.Autoscalers) == 1 {
				facts.Measured[i] = r.metrics.Measure(ctx, hpa.Namespace, &hpa.Spec.Metrics[i], selector)
			}
		}
	}
	facts.Now = r.env.Clock.Now()
	decided := plan.Decide(facts)
	var refused error
	if decided.Rescale {
		refused = r.scale(ctx, hpa, scale, resource, decided.Replicas)
	}
	return decided.Finish(hpa, refused), selector
}

// scale tells the target how many replicas it is to have, also if others write
// it at the same time.
func (r *reconciler) scale(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, scale *autoscalingv1.Scale, resource schema.GroupResource, replicas int32) error {
	for try := 1; ; try++ {
		scale.Spec.Replicas = replicas
		err := r.targets.Update(ctx, resource, scale)
		if !apierrors.IsConflict(err) || try == conflicts {
			return err
		}
		if latest, _, getErr := r.targets.Get(ctx, hpa.Namespace, hpa.Spec.ScaleTargetRef); getErr == nil {
			scale = latest
		}
	}
}

func (r *reconciler) pods(ctx context.Context, namespace string, selector labels.Selector) ([]*corev1.Pod, error) {
	return loop.List[*corev1.Pod](ctx, r.env.Cache, &corev1.PodList{}, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector})
}

// selecting are this autoscaler and those that are known to select one of its
// pods too, by name.
func (r *reconciler) selecting(ctx context.Context, self types.NamespacedName, pods []*corev1.Pod) []types.NamespacedName {
	out := append(r.rivals(self, pods), self)
	out = slices.DeleteFunc(out, func(key types.NamespacedName) bool {
		// One that was deleted may not have been forgotten yet.
		return key != self && apierrors.IsNotFound(r.env.Cache.Get(ctx, key, &autoscalingv2.HorizontalPodAutoscaler{}))
	})
	slices.SortFunc(out, func(a, b types.NamespacedName) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (r *reconciler) rivals(self types.NamespacedName, pods []*corev1.Pod) []types.NamespacedName {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []types.NamespacedName
	for key, other := range r.known {
		if key == self || key.Namespace != self.Namespace || other.selector == nil {
			continue
		}
		if slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return other.selector.Matches(labels.Set(pod.Labels)) }) {
			out = append(out, key)
		}
	}
	return out
}

func (r *reconciler) remembered(hpa *autoscalingv2.HorizontalPodAutoscaler) known {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.known[client.ObjectKeyFromObject(hpa)]; k.uid == hpa.UID {
		return k
	}
	return known{uid: hpa.UID}
}

func (r *reconciler) remember(key types.NamespacedName, k known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[key] = k
}

func (r *reconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, key)
}
