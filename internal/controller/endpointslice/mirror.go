package endpointslice

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/endpoint"
)

const mirrorIndex = "endpointslice.mirrored"

// MirrorLoop returns the loop that mirrors Endpoints which somebody wrote for a
// Service without a selector.
func MirrorLoop() loop.Loop {
	return loop.Loop{
		Name: "endpointslicemirroring", Source: "endpoint-slice-mirroring-controller",
		User: "system:serviceaccount:kube-system:endpointslicemirroring-controller", Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.Endpoints{}, Map: ofObject},
			{Kind: &corev1.Service{}, Map: ofObject},
			{Kind: &discoveryv1.EndpointSlice{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				var out []reconcile.Request
				for _, name := range mirroredService(ev.Object()) {
					out = append(out, request(ev.Object().GetNamespace(), name))
				}
				return out
			}},
		},
		Indexes: []loop.Index{{Kind: &discoveryv1.EndpointSlice{}, Field: mirrorIndex, Keys: mirroredService}},
		New:     func(env loop.Env) reconcile.Reconciler { return &mirror{env: env, own: loop.NewOwnWrites(env)} },
	}
}

type mirror struct {
	env loop.Env
	own *loop.OwnWrites
}

// Reconcile mirrors the Endpoints of one name, or takes its mirror away.
func (m *mirror) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := req.NamespacedName
	if !m.own.Seen(ctx, key) {
		return reconcile.Result{RequeueAfter: loop.Lost}, nil
	}
	have, err := loop.List[*discoveryv1.EndpointSlice](ctx, m.env.Cache, &discoveryv1.EndpointSliceList{},
		client.InNamespace(key.Namespace), client.MatchingFields{mirrorIndex: key.Name})
	if err != nil {
		return reconcile.Result{}, err
	}
	service, endpoints := &corev1.Service{}, &corev1.Endpoints{}
	for _, obj := range []client.Object{service, endpoints} {
		if err := m.env.Cache.Get(ctx, key, obj); apierrors.IsNotFound(err) {
			return reconcile.Result{}, write(ctx, m.own.Writer(key), endpoint.Plan{Delete: have})
		} else if err != nil {
			return reconcile.Result{}, err
		}
	}
	if !endpoint.Mirrored(service, endpoints) {
		return reconcile.Result{}, write(ctx, m.own.Writer(key), endpoint.Plan{Delete: have})
	}
	plan, warnings := endpoint.Mirror(endpoints, have)
	if !plan.Empty() {
		for _, w := range warnings {
			m.env.Events.Event(endpoints, corev1.EventTypeWarning, w.Reason, w.Message)
		}
	}
	if err := write(ctx, m.own.Writer(key), plan); err != nil {
		return reconcile.Result{}, fmt.Errorf("mirror Endpoints %s: %w", key, err)
	}
	return reconcile.Result{}, nil
}

func mirroredService(o client.Object) []string {
	labels := o.GetLabels()
	if labels[discoveryv1.LabelManagedBy] != endpoint.MirrorController || labels[discoveryv1.LabelServiceName] == "" {
		return nil
	}
	return []string{labels[discoveryv1.LabelServiceName]}
}
