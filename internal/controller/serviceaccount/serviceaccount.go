// Package serviceaccount gives every namespace what pods in it expect: the
// service account "default" and the ConfigMap "kube-root-ca.crt" with the
// certificate authority of the API server.
package serviceaccount

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

const (
	accountName = "default"
	// RootCA is the name of the ConfigMap.
	RootCA = "kube-root-ca.crt"
	key    = "ca.crt"

	description = "kubernetes.io/description"
	explanation = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// AccountLoop returns the loop that keeps the default service accounts.
func AccountLoop() loop.Loop {
	return loop.Loop{
		Name:    "serviceaccount",
		User:    "system:serviceaccount:kube-system:service-account-controller",
		Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.Namespace{}, Map: onNamespace},
			{Kind: &corev1.ServiceAccount{}, Map: onNamed(accountName)},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &accounts{env} },
	}
}

// RootCALoop returns the loop that publishes the certificate authority, in PEM.
func RootCALoop(ca []byte) loop.Loop {
	return loop.Loop{
		Name:    "root-ca",
		User:    "system:serviceaccount:kube-system:root-ca-cert-publisher",
		Workers: 2,
		Watches: []loop.Watch{
			{Kind: &corev1.Namespace{}, Map: onNamespace},
			{Kind: &corev1.ConfigMap{}, Map: onNamed(RootCA)},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &publisher{env, string(ca)} },
	}
}

type accounts struct{ env loop.Env }

// Reconcile makes sure that one namespace has its account.
func (a *accounts) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	name := types.NamespacedName{Namespace: req.Name, Name: accountName}
	if open, err := active(ctx, a.env, req.Name); err != nil || !open {
		return reconcile.Result{}, err
	}
	if err := a.env.Cache.Get(ctx, name, &corev1.ServiceAccount{}); !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	if err := a.env.Write.Create(ctx, account); !harmless(err) {
		return reconcile.Result{}, fmt.Errorf("create service account %s: %w", name, err)
	}
	return reconcile.Result{}, nil
}

type publisher struct {
	env loop.Env
	ca  string
}

// Reconcile makes sure that one namespace has the certificate.
func (p *publisher) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	name := types.NamespacedName{Namespace: req.Name, Name: RootCA}
	if open, err := active(ctx, p.env, req.Name); err != nil || !open {
		return reconcile.Result{}, err
	}
	data, annotations := map[string]string{key: p.ca}, map[string]string{description: explanation}
	have := &corev1.ConfigMap{}
	err := p.env.Cache.Get(ctx, name, have)
	switch {
	case apierrors.IsNotFound(err):
		err = p.env.Write.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, Annotations: annotations}, Data: data,
		})
	case err != nil:
	case equality.Semantic.DeepEqual(have.Data, data) && have.Annotations[description] != "":
		return reconcile.Result{}, nil
	default:
		next := have.DeepCopy()
		next.Data, next.BinaryData = data, nil
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, description, explanation)
		err = p.env.Write.Update(ctx, next)
	}
	if !harmless(err) {
		return reconcile.Result{}, fmt.Errorf("publish the certificate authority as config map %s: %w", name, err)
	}
	return reconcile.Result{}, nil
}

// active says that things may still be put into the namespace.
func active(ctx context.Context, env loop.Env, name string) (bool, error) {
	namespace := &corev1.Namespace{}
	err := env.Cache.Get(ctx, types.NamespacedName{Name: name}, namespace)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && namespace.DeletionTimestamp == nil, err
}

// harmless is success, or a race with someone who made the object or is
// deleting the namespace.
func harmless(err error) bool {
	return err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) ||
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func onNamespace(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
	if ev.New == nil || ev.Old != nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ev.New.GetName()}}}
}

// onNamed wakes the namespace when its object changes or is deleted.
func onNamed(name string) func(context.Context, client.Reader, loop.Event) []reconcile.Request {
	return func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
		if ev.Object().GetName() != name || (ev.Old == nil && ev.New != nil) {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ev.Object().GetNamespace()}}}
	}
}
