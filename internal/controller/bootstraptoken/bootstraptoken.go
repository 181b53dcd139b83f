// Package bootstraptoken looks after the tokens that machines join with: one
// loop deletes those whose time is over, the other signs the kubeconfig in
// kube-public/cluster-info with those that are for that. Secrets are watched by
// their metadata only and read when they may be tokens.
package bootstraptoken

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	plan "berth.dev/berth/internal/plan/bootstraptoken"
)

var (
	secretKind = corev1.SchemeGroupVersion.WithKind("Secret")
	info       = types.NamespacedName{Namespace: plan.InfoNamespace, Name: plan.InfoName}
)

func secrets() client.Object {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(secretKind)
	return o
}

// CleanerLoop declares the loop that deletes tokens at their end.
func CleanerLoop() loop.Loop {
	return loop.Loop{
		Name: "token-cleaner", User: "system:serviceaccount:kube-system:token-cleaner",
		Watches: []loop.Watch{{Kind: secrets(), Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			if ev.New == nil || ev.New.GetNamespace() != plan.Namespace || ev.New.GetDeletionTimestamp() != nil {
				return nil
			}
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.New)}}
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return &cleaner{env} },
	}
}

type cleaner struct{ env loop.Env }

// Reconcile deletes one token, or waits for its end.
func (c *cleaner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	secret := &corev1.Secret{}
	if err := c.env.Live.Get(ctx, req.NamespacedName, secret); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	left, never := plan.Expires(secret, c.env.Clock.Now())
	if never || secret.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if left > 0 {
		return reconcile.Result{RequeueAfter: max(left, time.Millisecond)}, nil
	}
	gone := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID}}
	// Somebody may prolong it at this very moment.
	err := c.env.Write.Delete(ctx, gone, client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion})
	if err != nil && !apierrors.IsNotFound(err) {
		return reconcile.Result{}, fmt.Errorf("delete the expired bootstrap token %s: %w", req, err)
	}
	return reconcile.Result{}, nil
}

// SignerLoop declares the loop that signs cluster-info.
func SignerLoop() loop.Loop {
	one := []reconcile.Request{{NamespacedName: info}}
	return loop.Loop{
		Name: "bootstrap-signer", User: "system:serviceaccount:kube-system:bootstrap-signer",
		Watches: []loop.Watch{
			{Kind: &corev1.ConfigMap{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				if ev.New == nil || client.ObjectKeyFromObject(ev.New) != info {
					return nil
				}
				return one
			}},
			{Kind: secrets(), Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				if o := ev.Object(); o.GetNamespace() != plan.Namespace || !plan.Named(o.GetName()) {
					return nil
				}
				return one
			}},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &signer{env} },
	}
}

type signer struct{ env loop.Env }

// Reconcile brings the signatures up to date. Where there is no cluster-info
// nothing is read.
func (s *signer) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	have := &corev1.ConfigMap{}
	if err := s.env.Cache.Get(ctx, info, have); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	tokens, err := s.tokens(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	data, changed, err := plan.Sign(have, tokens, s.env.Clock.Now())
	if err != nil || !changed {
		return reconcile.Result{}, err
	}
	next := have.DeepCopy()
	next.Data = data
	if err := s.env.Write.Update(ctx, next); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("sign ConfigMap %s: %w", req, err)
	}
	return reconcile.Result{}, nil
}

// tokens are the Secrets that may sign, by name.
func (s *signer) tokens(ctx context.Context) ([]*corev1.Secret, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(secretKind.GroupVersion().WithKind(secretKind.Kind + "List"))
	if err := s.env.Cache.List(ctx, list, client.InNamespace(plan.Namespace)); err != nil {
		return nil, fmt.Errorf("list the Secrets that may be bootstrap tokens: %w", err)
	}
	var out []*corev1.Secret
	for i := range list.Items {
		meta := &list.Items[i]
		if !plan.Named(meta.Name) {
			continue
		}
		secret := &corev1.Secret{}
		switch err := s.env.Live.Get(ctx, client.ObjectKeyFromObject(meta), secret); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("read bootstrap token %s: %w", meta.Name, err)
		default:
			out = append(out, secret)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Secret) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
