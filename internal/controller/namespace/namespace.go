// Package namespace empties namespaces that are being deleted and then lets
// them go. Every kind that the API server serves is swept, found anew each
// time, so that objects of custom kinds do not stay behind. Deletions that
// take their time wake the namespace when they are done.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/plan/emptying"
)

// User is the identity of the loop.
const User = "system:serviceaccount:kube-system:namespace-controller"

// again is how long a namespace waits for objects whose deletion no watch shows.
const again = 2 * time.Second

// Loop returns the namespace loop. content is what namespaces can hold, made
// for the loop's environment; watched are kinds in the shared cache whose
// deletions wake the namespace.
func Loop(content func(loop.Env) Content, watched []client.Object) loop.Loop {
	l := loop.Loop{
		Name:    "namespace",
		User:    User,
		Workers: 2,
		Watches: []loop.Watch{{Kind: &corev1.Namespace{}, Map: onNamespace}},
		New: func(env loop.Env) reconcile.Reconciler {
			return &controller{env: env, content: content(env)}
		},
	}
	for _, kind := range watched {
		l.Watches = append(l.Watches, loop.Watch{Kind: kind, Map: onContent})
	}
	return l
}

type controller struct {
	env     loop.Env
	content Content
}

// Reconcile sweeps one terminating namespace, or lets it go.
func (c *controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	cached := &corev1.Namespace{}
	if err := c.env.Cache.Get(ctx, req.NamespacedName, cached); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if cached.DeletionTimestamp == nil {
		return reconcile.Result{}, nil
	}
	namespace := &corev1.Namespace{}
	if err := c.env.Live.Get(ctx, req.NamespacedName, namespace); err != nil || namespace.UID != cached.UID {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return reconcile.Result{}, nil
	}
	found := sweep(ctx, c.content, namespace, c.env.Clock.Now())
	if err := c.say(ctx, namespace, found); err != nil {
		return reconcile.Result{}, err
	}
	if !found.Done() {
		if len(found.Failures) > 0 {
			return reconcile.Result{}, fmt.Errorf("empty namespace %s: %w", namespace.Name, errors.Join(found.Failures...))
		}
		return reconcile.Result{RequeueAfter: again}, nil
	}
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers, func(f corev1.FinalizerName) bool {
		return f == corev1.FinalizerKubernetes
	})
	if err := c.env.Write.SubResource("finalize").Update(ctx, namespace); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("let namespace %s go: %w", namespace.Name, err)
	}
	return reconcile.Result{}, nil
}

// say writes what keeps the namespace; nothing is said about one that is empty
// at the first look and that nobody else holds, as it is gone at once.
func (c *controller) say(ctx context.Context, namespace *corev1.Namespace, found emptying.Found) error {
	if found.Done() && len(namespace.Status.Conditions) == 0 && len(namespace.Spec.Finalizers)+len(namespace.Finalizers) == 1 {
		return nil
	}
	conditions, changed := emptying.Conditions(namespace.Status.Conditions, found, metav1.NewTime(c.env.Clock.Now()))
	if !changed {
		return nil
	}
	namespace.Status.Conditions = conditions
	if err := c.env.Write.Status().Update(ctx, namespace); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("update the status of namespace %s: %w", namespace.Name, err)
	}
	return nil
}

func onNamespace(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil || ev.New.GetDeletionTimestamp() == nil {
		return nil
	}
	if ev.Old != nil && ev.Old.GetDeletionTimestamp() != nil {
		return nil // our own status
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ev.New.GetName()}}}
}

// onContent wakes a terminating namespace when something in it is gone.
func onContent(ctx context.Context, read client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New != nil || ev.Old.GetNamespace() == "" {
		return nil
	}
	key := types.NamespacedName{Name: ev.Old.GetNamespace()}
	namespace := &corev1.Namespace{}
	if err := read.Get(ctx, key, namespace); err != nil || namespace.DeletionTimestamp == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: key}}
}
