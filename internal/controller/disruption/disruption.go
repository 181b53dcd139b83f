// Package disruption keeps the status of PodDisruptionBudgets, and takes the
// condition DisruptionTarget from pods that were to go and stayed.
package disruption

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/disruption"
)

const (
	// User is the loop's identity.
	User = "system:serviceaccount:kube-system:disruption-controller"
	// source is upstream's name for it in events.
	source = "controllermanager"
	// lookAgain is when a budget is counted again that could not be counted:
	// nothing tells that a kind has come to be served, or a right to be granted.
	lookAgain = time.Minute
)

// Loop declares the loop that keeps the status of budgets. scales answers for
// controllers of other kinds than Kubernetes' own; nil means that there are none.
func Loop(scales Scales) loop.Loop {
	return loop.Loop{
		Name: "disruption", Source: source, User: User,
		Watches: watches(),
		New: func(env loop.Env) reconcile.Reconciler {
			return &reconciler{env: env, own: loop.NewOwnWrites(env), scales: scales, known: map[types.NamespacedName]*memory{}}
		},
	}
}

// reconciler has one worker, so what it knows needs no lock.
type reconciler struct {
	env    loop.Env
	own    *loop.OwnWrites
	scales Scales
	known  map[types.NamespacedName]*memory
}

// memory is what the last look at a budget has shown.
type memory struct {
	pods map[string]types.UID
	// shared are the pods of which it was said that several budgets select them.
	shared map[types.UID]bool
}

// Reconcile counts the pods of one budget.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !r.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	budget := &policyv1.PodDisruptionBudget{}
	if err := r.env.Cache.Get(ctx, req.NamespacedName, budget); err != nil {
		if apierrors.IsNotFound(err) {
			delete(r.known, req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	result, err := r.count(ctx, budget)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("PodDisruptionBudget %s: %w", req, err)
	}
	return result, nil
}

func (r *reconciler) count(ctx context.Context, budget *policyv1.PodDisruptionBudget) (reconcile.Result, error) {
	pods, err := r.selected(ctx, budget)
	if err != nil {
		return r.giveUp(ctx, budget, "NoPods", "Failed to get pods: %v", err)
	}
	if err := r.warnOfSharing(ctx, budget, pods); err != nil {
		return reconcile.Result{}, err
	}
	scales, err := r.scalesOf(ctx, budget, pods)
	var p plan.Plan
	if err == nil {
		p, err = plan.Decide(plan.State{Budget: budget, Pods: pods, Scales: scales, Before: r.remember(budget).pods, Now: r.env.Clock.Now()})
	}
	if err != nil {
		return r.giveUp(ctx, budget, "CalculateExpectedPodCountFailed", "Failed to calculate the number of expected pods: %v", err)
	}
	for _, pod := range p.NotDeleted {
		// Upstream says the namespace twice; so it is what people search for.
		r.env.Events.Event(pod, corev1.EventTypeWarning, "NotDeleted",
			fmt.Sprintf("Pod was expected by PDB %s/%s to be deleted but it wasn't", budget.Namespace, budget.Namespace))
	}
	if p.Changed {
		r.tell(budget, pods, p)
		if err := r.write(ctx, budget, p.Status); err != nil {
			return reconcile.Result{}, err
		}
	}
	names := make(map[string]types.UID, len(pods))
	for _, pod := range pods {
		names[pod.Name] = pod.UID
	}
	r.remember(budget).pods = names
	return reconcile.Result{RequeueAfter: p.Again}, nil
}

// tell says what is odd about a budget, whenever its status is written.
func (r *reconciler) tell(budget *policyv1.PodDisruptionBudget, pods []*corev1.Pod, p plan.Plan) {
	if len(pods) == 0 {
		r.env.Events.Event(budget, corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	if len(p.Unmanaged) > 0 {
		r.env.Events.Event(budget, corev1.EventTypeWarning, "UnmanagedPods", fmt.Sprintf("Pods selected by this PodDisruptionBudget (selector: %v) were found "+
			"to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" "+
			"field of the PDB to an integer value.", budget.Spec.Selector))
	}
}

// giveUp lets no pod go any more, as it is not known how many may.
func (r *reconciler) giveUp(ctx context.Context, budget *policyv1.PodDisruptionBudget, reason, message string, cause error) (reconcile.Result, error) {
	if apierrors.IsConflict(cause) {
		return reconcile.Result{}, cause
	}
	status, changed := plan.Failed(budget, cause, r.env.Clock.Now())
	if changed {
		r.env.Events.Event(budget, corev1.EventTypeWarning, reason, fmt.Sprintf(message, cause))
		if err := r.write(ctx, budget, status); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: lookAgain}, nil
}

func (r *reconciler) write(ctx context.Context, budget *policyv1.PodDisruptionBudget, status policyv1.PodDisruptionBudgetStatus) error {
	budget = budget.DeepCopy()
	budget.Status = status
	return client.IgnoreNotFound(r.own.Writer(client.ObjectKeyFromObject(budget)).Status().Update(ctx, budget))
}

func (r *reconciler) remember(budget *policyv1.PodDisruptionBudget) *memory {
	key := client.ObjectKeyFromObject(budget)
	if r.known[key] == nil {
		r.known[key] = &memory{}
	}
	return r.known[key]
}

// selected are the pods that the budget selects.
func (r *reconciler) selected(ctx context.Context, budget *policyv1.PodDisruptionBudget) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		return nil, err
	}
	var list corev1.PodList
	if err := r.env.Cache.List(ctx, &list, client.InNamespace(budget.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, err
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	return pods, nil
}

// warnOfSharing says once of each pod that several budgets select it: it cannot
// be evicted then. The first of them says so.
func (r *reconciler) warnOfSharing(ctx context.Context, budget *policyv1.PodDisruptionBudget, pods []*corev1.Pod) error {
	var all policyv1.PodDisruptionBudgetList
	if err := r.env.Cache.List(ctx, &all, client.InNamespace(budget.Namespace)); err != nil {
		return err
	}
	known := r.remember(budget)
	before := known.shared
	known.shared = map[types.UID]bool{}
	for i := range all.Items {
		other := &all.Items[i]
		if other.UID == budget.UID {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(other.Spec.Selector)
		if err != nil {
			continue
		}
		for _, pod := range pods {
			if !selector.Matches(labels.Set(pod.Labels)) || known.shared[pod.UID] {
				continue
			}
			known.shared[pod.UID] = true
			if !before[pod.UID] && budget.Name < other.Name {
				r.env.Events.Event(pod, corev1.EventTypeWarning, "MultiplePodDisruptionBudgets",
					fmt.Sprintf("Pod %q/%q matches multiple PodDisruptionBudgets.  Chose %q arbitrarily.", pod.Namespace, pod.Name, budget.Name))
			}
		}
	}
	return nil
}
