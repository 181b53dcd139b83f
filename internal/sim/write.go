package sim

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// meta guesses a kind's resource.
func meta(gvk schema.GroupVersionKind) (schema.GroupResource, schema.GroupVersionResource) {
	plural, _ := apimeta.UnsafeGuessKindToResource(gvk)
	return plural.GroupResource(), plural
}

func (s *store) get(gvk schema.GroupVersionKind, key client.ObjectKey) (client.Object, error) {
	obj := s.kind(gvk).objects[key]
	if obj == nil {
		return nil, apierrors.NewNotFound(resource(gvk), key.Name)
	}
	return obj, nil
}

func (s *store) create(gvk schema.GroupVersionKind, obj client.Object) (client.Object, error) {
	if obj.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	obj = clone(obj)
	s.stamp(obj)
	if s.kind(gvk).objects[client.ObjectKeyFromObject(obj)] != nil {
		return nil, apierrors.NewAlreadyExists(resource(gvk), obj.GetName())
	}
	if pod, ok := obj.(*corev1.Pod); ok && len(pod.Labels["controller-revision-hash"]) > 63 {
		return nil, apierrors.NewInvalid(gvk.GroupKind(), pod.Name, nil)
	}
	s.put(gvk, nil, obj)
	return obj, nil
}

// update stores obj over the one of its name. part says what of it counts:
// everything but the status, or the status alone.
func (s *store) update(gvk schema.GroupVersionKind, obj client.Object, part string) (client.Object, error) {
	old, err := s.get(gvk, client.ObjectKeyFromObject(obj))
	if err != nil {
		return nil, err
	}
	if err := unchangedSince(gvk, old, obj); err != nil {
		return nil, err
	}
	next := clone(obj)
	if part == "resize" {
		next = resized(old.(*corev1.Pod), obj.(*corev1.Pod))
	} else if part == "status" {
		next = clone(old)
		setField(next, "Status", clone(obj))
		if _, revised := next.(*appsv1.Deployment); revised {
			next.SetAnnotations(obj.GetAnnotations())
		}
	} else if err := keepServerFields(gvk, old, next); err != nil {
		return nil, err
	}
	next.SetResourceVersion(old.GetResourceVersion())
	next.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	if equality.Semantic.DeepEqual(old, next) {
		return old, nil
	}
	if finished(next) {
		s.remove(gvk, next)
		return next, nil
	}
	s.put(gvk, old, next)
	return next, nil
}

func unchangedSince(gvk schema.GroupVersionKind, old, obj client.Object) error {
	if rv := obj.GetResourceVersion(); rv != "" && rv != old.GetResourceVersion() {
		return apierrors.NewConflict(resource(gvk), obj.GetName(),
			fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
	}
	if uid := obj.GetUID(); uid != "" && uid != old.GetUID() {
		return apierrors.NewConflict(resource(gvk), obj.GetName(),
			fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, old.GetUID())) //nolint:staticcheck // upstream's text
	}
	return nil
}

// keepServerFields undoes what a client may not change.
func keepServerFields(gvk schema.GroupVersionKind, old, next client.Object) error {
	if hasStatusSubresource(next) {
		setField(next, "Status", clone(old))
	}
	next.SetUID(old.GetUID())
	next.SetCreationTimestamp(old.GetCreationTimestamp())
	next.SetDeletionTimestamp(old.GetDeletionTimestamp())
	next.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	next.SetGeneration(old.GetGeneration())
	if !sameField(old, next, "Spec") {
		if _, isPod := old.(*corev1.Pod); isPod && !samePodSpec(old.(*corev1.Pod), next.(*corev1.Pod)) {
			return apierrors.NewInvalid(gvk.GroupKind(), old.GetName(), field.ErrorList{
				field.Forbidden(field.NewPath("spec"), "pod updates may not change fields other than images"),
			})
		}
		next.SetGeneration(old.GetGeneration() + 1)
	}
	return nil
}

// samePodSpec compares all that is fixed once a pod exists.
func samePodSpec(a, b *corev1.Pod) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, pod := range []*corev1.Pod{a, b} {
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].Image = ""
		}
	}
	return equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// finished reports whether a deleted object has nothing left to wait for.
func finished(obj client.Object) bool {
	if obj.GetDeletionTimestamp() == nil || len(obj.GetFinalizers()) > 0 {
		return false
	}
	return ptr.Deref(obj.GetDeletionGracePeriodSeconds(), 0) == 0
}

func (s *store) delete(gvk schema.GroupVersionKind, key client.ObjectKey, opts *client.DeleteOptions) error {
	old, err := s.get(gvk, key)
	if err != nil {
		return err
	}
	if p := opts.Preconditions; p != nil {
		if p.UID != nil && *p.UID != old.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
			return apierrors.NewConflict(resource(gvk), key.Name, fmt.Errorf("Precondition failed: %s", strings.TrimSpace(fmt.Sprint(p)))) //nolint:staticcheck // upstream's text
		}
	}
	next := clone(old)
	switch ptr.Deref(opts.PropagationPolicy, metav1.DeletePropagationBackground) {
	case metav1.DeletePropagationForeground:
		addFinalizer(next, metav1.FinalizerDeleteDependents)
	case metav1.DeletePropagationOrphan:
		addFinalizer(next, metav1.FinalizerOrphanDependents)
	}
	grace := int64(0)
	if pod, ok := old.(*corev1.Pod); ok {
		grace = podGrace(pod, opts.GracePeriodSeconds)
	}
	if next.GetDeletionTimestamp() == nil || grace < ptr.Deref(next.GetDeletionGracePeriodSeconds(), 0) {
		next.SetDeletionTimestamp(ptr.To(metav1.NewTime(s.clock.Now().Add(seconds(grace)))))
		next.SetDeletionGracePeriodSeconds(&grace)
	}
	switch {
	case finished(next):
		s.remove(gvk, next)
	case !equality.Semantic.DeepEqual(old, next):
		s.put(gvk, old, next)
	}
	return nil
}

// podGrace is how long a pod may take: nothing runs without a node or after its end.
func podGrace(pod *corev1.Pod, asked *int64) int64 {
	if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return 0
	}
	if asked != nil {
		return *asked
	}
	return ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, 30)
}

func addFinalizer(obj client.Object, name string) {
	for _, f := range obj.GetFinalizers() {
		if f == name {
			return
		}
	}
	obj.SetFinalizers(append(obj.GetFinalizers(), name))
}
