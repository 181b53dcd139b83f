// Package endpointslice keeps the EndpointSlices of every Service that has a
// selector, around plan/endpoint. A change of a pod is written at once: a name
// or an address that comes late is an outage. Only for a Service with a hundred
// pods or more, changes that follow within milliseconds are written together.
// Its second loop keeps the Endpoints of the same Services, its third mirrors
// Endpoints that somebody wrote for a Service without a selector.
package endpointslice

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/endpoint"
)

const serviceIndex = "endpointslice.service"

// Loop returns the EndpointSlice loop.
func Loop() loop.Loop {
	return loop.Loop{
		Name:    "endpointslice",
		User:    "system:serviceaccount:kube-system:endpointslice-controller",
		Workers: 4,
		Watches: []loop.Watch{
			{Kind: &corev1.Service{}, Map: onService},
			{Kind: &corev1.Pod{}, Map: onPod},
			{Kind: &discoveryv1.EndpointSlice{}, Map: onSlice},
			{Kind: &corev1.Node{}, Map: onNode},
		},
		Indexes: []loop.Index{{Kind: &discoveryv1.EndpointSlice{}, Field: serviceIndex, Keys: sliceService}},
		New: func(env loop.Env) reconcile.Reconciler {
			return &controller{env: env, own: loop.NewOwnWrites(env), looked: map[types.NamespacedName]look{}}
		},
	}
}

type controller struct {
	env loop.Env
	own *loop.OwnWrites

	mu     sync.Mutex
	looked map[types.NamespacedName]look // last time, by Service
}

// Reconcile brings the slices of one Service up to date.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !c.own.Seen(ctx, req.NamespacedName) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	service := &corev1.Service{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, service); err != nil {
		// The slices of a deleted Service go by their owner references.
		c.forget(req.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !selects(service) || service.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if rest := c.rest(req.NamespacedName); rest > 0 {
		return reconcile.Result{RequeueAfter: rest}, nil
	}
	state, err := c.observe(ctx, service)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("observe service %s: %w", req, err)
	}
	plan := endpoint.Decide(state)
	err = write(ctx, c.own.Writer(req.NamespacedName), plan)
	c.ended(req.NamespacedName, len(state.Pods), !plan.Empty())
	return reconcile.Result{}, err
}

func write(ctx context.Context, api loop.Writer, plan endpoint.Plan) error {
	// A pod never vanishes in between: what it moves to is written first.
	for _, slice := range plan.Create {
		if err := api.Create(ctx, slice); err != nil && !namespaceEnds(err) {
			return fmt.Errorf("create endpoint slice %s/%s: %w", slice.Namespace, slice.Name, err)
		}
	}
	for _, slice := range plan.Update {
		if err := api.Update(ctx, slice); err != nil {
			return fmt.Errorf("update endpoint slice %s/%s: %w", slice.Namespace, slice.Name, err)
		}
	}
	for _, slice := range plan.Delete {
		err := api.Delete(ctx, slice.DeepCopy(), client.Preconditions{UID: &slice.UID})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete endpoint slice %s/%s: %w", slice.Namespace, slice.Name, err)
		}
	}
	return nil
}

// selects says that slices of this Service are ours: others are written by
// whoever made the Service.
func selects(service *corev1.Service) bool {
	return len(service.Spec.Selector) > 0 && service.Spec.Type != corev1.ServiceTypeExternalName
}

func sliceService(o client.Object) []string {
	labels := o.GetLabels()
	if labels[discoveryv1.LabelManagedBy] != endpoint.Controller || labels[discoveryv1.LabelServiceName] == "" {
		return nil
	}
	return []string{labels[discoveryv1.LabelServiceName]}
}

func namespaceEnds(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}
