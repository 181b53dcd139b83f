package pod

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// evict says in the pod's status why it goes and deletes it.
func (e *Eviction) evict(ctx context.Context, name string, how *metav1.DeleteOptions) error {
	if !dryrun.IsDryRun(how.DryRun) {
		version, err := e.mark(ctx, name, how.Preconditions)
		if err != nil {
			return err
		}
		if !anyVersion(how) {
			how = atVersion(how, version) // the one that the mark has made
		}
	}
	_, _, err := e.store.Delete(ctx, name, rest.ValidateAllObjectFunc, how)
	return err
}

// mark sets the condition that says who ended the pod and returns its new version.
func (e *Eviction) mark(ctx context.Context, name string, must *metav1.Preconditions) (string, error) {
	latest := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		pod := old.(*corev1.Pod).DeepCopy()
		if err := fulfils(pod, must); err != nil {
			return nil, err
		}
		setCondition(pod, corev1.PodCondition{
			Type:    corev1.DisruptionTarget,
			Status:  corev1.ConditionTrue,
			Reason:  "EvictionByEvictionAPI",
			Message: "Eviction API: evicting",
		})
		return pod, nil
	}
	obj, _, err := e.status.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, latest),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return "", err
	}
	return obj.(*corev1.Pod).ResourceVersion, nil
}

func fulfils(pod *corev1.Pod, must *metav1.Preconditions) error {
	if must == nil {
		return nil
	}
	refuse := func(format string, a ...any) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "Pod"}, pod.Name, fmt.Errorf(format, a...))
	}
	if uid := must.UID; uid != nil && *uid != "" && *uid != pod.UID {
		return refuse("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *uid, pod.UID)
	}
	if v := must.ResourceVersion; v != nil && *v != "" && *v != pod.ResourceVersion {
		return refuse("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *v, pod.ResourceVersion)
	}
	return nil
}
