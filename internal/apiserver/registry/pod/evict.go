package pod

import (
	"context"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/wait"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/util/retry"
)

// conflicts says how often an eviction is tried again while others write the same objects.
var conflicts = wait.Backoff{Steps: 20, Duration: 500 * time.Millisecond, Factor: 1, Jitter: 0.1}

// Eviction serves pods/eviction: it deletes a pod with a reason in its status,
// unless a disruption budget forbids it.
type Eviction struct {
	store   *genericregistry.Store
	status  rest.Updater
	budgets Budgets
}

var (
	_ rest.NamedCreater             = &Eviction{}
	_ rest.GroupVersionKindProvider = &Eviction{}
)

// NewEviction returns the endpoint on the store and the status endpoint of pods.
func NewEviction(store *genericregistry.Store, status rest.Updater, budgets Budgets) *Eviction {
	return &Eviction{store, status, budgets}
}

// New implements rest.Storage.
func (*Eviction) New() runtime.Object { return &policyv1.Eviction{} }

// Destroy implements rest.Storage; the storage belongs to the main endpoint.
func (*Eviction) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*Eviction) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind { return evictionKind }

var evictionKind = policyv1.SchemeGroupVersion.WithKind("Eviction")

// Create implements rest.NamedCreater.
func (e *Eviction) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	if o := eviction.DeleteOptions; o != nil && o.IgnoreStoreReadErrorWithClusterBreakingPotential != nil && *o.IgnoreStoreReadErrorWithClusterBreakingPotential {
		return nil, apierrors.NewInvalid(evictionKind.GroupKind(), name, field.ErrorList{
			field.Invalid(field.NewPath("deleteOptions", "ignoreStoreReadErrorWithClusterBreakingPotential"), true,
				"can not be set for pod eviction, try after removing the option"),
		})
	}
	how, err := deleteOptions(eviction, options)
	if err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	pod, done, err := e.unbudgeted(ctx, name, how)
	if err != nil {
		return nil, err
	}
	if !done {
		if refusal, err := e.budgeted(ctx, pod, how); err != nil || refusal != nil {
			return refusal, err
		}
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// deleteOptions are those in the body, with the dry run of the request.
func deleteOptions(eviction *policyv1.Eviction, options *metav1.CreateOptions) (*metav1.DeleteOptions, error) {
	inside := eviction.DeleteOptions
	switch {
	case inside == nil:
		inside = &metav1.DeleteOptions{DryRun: options.DryRun}
		return inside, nil
	case len(inside.DryRun) == 0:
		inside.DryRun = options.DryRun
	case len(options.DryRun) > 0 && !reflect.DeepEqual(options.DryRun, inside.DryRun):
		return nil, fmt.Errorf("Non-matching dry-run options in request and content: %v and %v", options.DryRun, inside.DryRun) //nolint:staticcheck // upstream's words
	}
	return inside, nil
}

// unbudgeted deletes a pod that no budget counts on: one that waits, ends or has ended.
func (e *Eviction) unbudgeted(ctx context.Context, name string, how *metav1.DeleteOptions) (pod *corev1.Pod, done bool, err error) {
	again := func(err error) bool { return anyVersion(how) && ctx.Err() == nil && apierrors.IsConflict(err) }
	err = retry.OnError(conflicts, again, func() error {
		obj, err := e.store.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			return err
		}
		pod = obj.(*corev1.Pod)
		ending := finished(pod) || pod.DeletionTimestamp != nil
		if !ending && pod.Status.Phase != corev1.PodPending {
			return nil
		}
		with := how
		if !ending && anyVersion(how) {
			// It may become ready meanwhile, and then a budget counts on it.
			with = atVersion(how, pod.ResourceVersion)
		}
		if err := e.evict(ctx, name, with); err != nil {
			return err
		}
		done = true
		return nil
	})
	return pod, done, err
}

// budgeted deletes a pod if its budget allows that.
func (e *Eviction) budgeted(ctx context.Context, pod *corev1.Pod, how *metav1.DeleteOptions) (refusal *metav1.Status, err error) {
	budgets, err := e.budgets.of(ctx, pod)
	if err != nil {
		return nil, err
	}
	if len(budgets) > 1 {
		return &metav1.Status{
			Status:  metav1.StatusFailure,
			Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
			Code:    500,
		}, nil
	}
	if len(budgets) == 0 {
		return nil, e.evict(ctx, pod.Name, how)
	}
	budget := &budgets[0]
	if !ready(pod) && unhealthyMayGo(budget) {
		err := e.evict(ctx, pod.Name, atVersion(how, pod.ResourceVersion))
		if apierrors.IsConflict(err) && anyVersion(how) {
			return nil, stillProcessed(budget.Name)
		}
		return nil, err
	}
	if err := e.budgets.spend(ctx, budget, pod.Name, how); err != nil {
		return nil, err
	}
	return nil, e.evict(ctx, pod.Name, how)
}

// anyVersion says that the client has not named the version of the pod that it means.
func anyVersion(how *metav1.DeleteOptions) bool {
	return how.Preconditions == nil || how.Preconditions.ResourceVersion == nil
}

func atVersion(how *metav1.DeleteOptions, version string) *metav1.DeleteOptions {
	how = how.DeepCopy()
	if how.Preconditions == nil {
		how.Preconditions = &metav1.Preconditions{}
	}
	how.Preconditions.ResourceVersion = &version
	return how
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
