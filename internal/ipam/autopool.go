package ipam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/plan/address"
	"berth.dev/berth/internal/plan/autopool"
)

// app is the workload that a pod belongs to in the end; a pod that belongs to none
// is one by itself.
func (r *reconciler) app(ctx context.Context, pod *corev1.Pod) (autopool.App, error) {
	app := autopool.App{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Pod"), NamespacedName: client.ObjectKeyFromObject(pod), UID: pod.UID}
	owner := metav1.GetControllerOfNoCopy(pod)
	for owner != nil {
		gv, err := schema.ParseGroupVersion(owner.APIVersion)
		if err != nil {
			return app, nil
		}
		app = autopool.App{GroupVersionKind: gv.WithKind(owner.Kind), NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: owner.Name}, UID: owner.UID}
		var middle client.Object
		switch app.GroupVersionKind {
		case appsv1.SchemeGroupVersion.WithKind("ReplicaSet"):
			middle = &appsv1.ReplicaSet{}
		case batchv1.SchemeGroupVersion.WithKind("Job"):
			middle = &batchv1.Job{}
		default:
			return app, nil
		}
		err = r.env.Cache.Get(ctx, app.NamespacedName, middle)
		if apierrors.IsNotFound(err) {
			return app, nil
		}
		if err != nil {
			return app, err
		}
		owner = metav1.GetControllerOfNoCopy(middle)
	}
	return app, nil
}

// madeOfSubnet is the pools that are made of SpiderSubnets for an interface of a
// pod's workload, nil if the pod asks for none.
func (r *reconciler) madeOfSubnet(ctx context.Context, pod *corev1.Pod, nic string) (map[address.Family]address.Names, error) {
	asks, err := autopool.Asks(pod.Annotations)
	if err != nil {
		return nil, &malformed{err}
	}
	if len(asks) == 0 {
		return nil, nil
	}
	app, err := r.app(ctx, pod)
	if err != nil {
		return nil, err
	}
	if !autopool.Serves(app) {
		return nil, &malformed{fmt.Errorf("annotation %s: pools are made for %s; the pod belongs to none: name a SpiderIPPool in %s instead",
			address.SubnetAnnotation, strings.Join(autopool.Kinds, ", "), address.PoolAnnotation)}
	}
	out := map[address.Family]address.Names{}
	for _, a := range asks {
		if a.Interface != nic {
			continue
		}
		name := autopool.Name(app, a) // as long as there is none
		for _, p := range r.specs {
			if autopool.Fits(p, app, a) {
				name = p.Name
			}
		}
		out[a.Family] = address.Names{Names: []string{name}, Listed: true}
	}
	if len(out) == 0 {
		return nil, &malformed{errors.New("annotation " + address.SubnetsAnnotation + ": wrong input: interface " + nic + " is not among them")}
	}
	return out, nil
}
