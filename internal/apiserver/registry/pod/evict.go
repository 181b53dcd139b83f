package pod

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storageerrors "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Eviction serves pods/eviction: it deletes a pod with a reason in its status.
// No PodDisruptionBudget stands in the way, because that kind is not served.
type Eviction struct{ store *genericregistry.Store }

var (
	_ rest.NamedCreater             = &Eviction{}
	_ rest.GroupVersionKindProvider = &Eviction{}
)

// NewEviction returns the endpoint on the store of pods.
func NewEviction(store *genericregistry.Store) *Eviction { return &Eviction{store} }

// New implements rest.Storage.
func (*Eviction) New() runtime.Object { return &policyv1.Eviction{} }

// Destroy implements rest.Storage; the storage belongs to the main endpoint.
func (*Eviction) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*Eviction) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyv1.SchemeGroupVersion.WithKind("Eviction")
}

// Create implements rest.NamedCreater.
func (e *Eviction) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	how := eviction.DeleteOptions
	if how == nil {
		how = &metav1.DeleteOptions{}
	}
	how = how.DeepCopy()
	// The plain and the embedded option mean the same; they are merged as upstream does.
	if len(options.DryRun) > 0 {
		how.DryRun = options.DryRun
	}
	if validate != nil {
		if err := validate(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	got, err := e.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := got.(*corev1.Pod)
	if err := e.mark(ctx, pod, how); err != nil {
		return nil, err
	}
	if _, _, err := e.store.Delete(ctx, name, rest.ValidateAllObjectFunc, how); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// mark says in the pod's status why it goes. The precondition of the deletion
// moves on to the resource version that this makes.
func (e *Eviction) mark(ctx context.Context, pod *corev1.Pod, how *metav1.DeleteOptions) error {
	if dryrun.IsDryRun(how.DryRun) || pod.DeletionTimestamp != nil || finished(pod) {
		return nil
	}
	key, err := e.store.KeyFunc(ctx, pod.Name)
	if err != nil {
		return err
	}
	conditions := &storage.Preconditions{UID: &pod.UID}
	if how.Preconditions != nil {
		if how.Preconditions.UID != nil {
			conditions.UID = how.Preconditions.UID
		}
		conditions.ResourceVersion = how.Preconditions.ResourceVersion
	}
	out := &corev1.Pod{}
	err = e.store.Storage.GuaranteedUpdate(ctx, key, out, false, conditions,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			setCondition(obj.(*corev1.Pod), corev1.PodCondition{
				Type:    corev1.DisruptionTarget,
				Status:  corev1.ConditionTrue,
				Reason:  "EvictionByEvictionAPI",
				Message: "Eviction API: evicting",
			})
			return obj, nil
		}), false, nil)
	if err != nil {
		err = storageerrors.InterpretGetError(err, corev1.Resource("pods"), pod.Name)
		return storageerrors.InterpretUpdateError(err, corev1.Resource("pods"), pod.Name)
	}
	if how.Preconditions == nil {
		how.Preconditions = &metav1.Preconditions{}
	}
	uid, version := types.UID(out.UID), out.ResourceVersion
	how.Preconditions.UID = &uid
	if how.Preconditions.ResourceVersion != nil {
		how.Preconditions.ResourceVersion = &version
	}
	return nil
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
