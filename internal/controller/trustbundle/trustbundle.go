// Package trustbundle publishes what vouches for the API server's certificate as
// a ClusterTrustBundle, which pods can mount wherever they are.
package trustbundle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// Signer is whose certificates the bundle vouches for, upstream's name.
const Signer = "kubernetes.io/kube-apiserver-serving"

// Name is the bundle's: the signer's and a part of the text's hash, so that
// another text is another bundle.
func Name(ca []byte) string {
	sum := sha256.Sum256(ca)
	return fmt.Sprintf("%s:%x", strings.ReplaceAll(Signer, "/", ":"), sum[:12])
}

// Loop declares the loop that publishes the authority, in PEM. It has one thing to do.
func Loop(ca []byte) loop.Loop {
	one := []reconcile.Request{{NamespacedName: types.NamespacedName{Name: Name(ca)}}}
	return loop.Loop{
		Name: "kube-apiserver-serving-clustertrustbundle-publisher",
		User: "system:serviceaccount:kube-system:kube-apiserver-serving-clustertrustbundle-publisher",
		Watches: []loop.Watch{
			{Kind: &certificatesv1.ClusterTrustBundle{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				if bundle, ok := ev.Object().(*certificatesv1.ClusterTrustBundle); !ok || bundle.Spec.SignerName != Signer {
					return nil
				}
				return one
			}},
			// The first time nothing is there yet that could wake it.
			{Kind: &corev1.Namespace{}, Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
				if ev.Old != nil || ev.New.GetName() != metav1.NamespaceSystem {
					return nil
				}
				return one
			}},
		},
		New: func(env loop.Env) reconcile.Reconciler { return &publisher{env, string(ca)} },
	}
}

type publisher struct {
	env loop.Env
	ca  string
}

// Reconcile makes the bundle what it is to be, and deletes those before it.
func (p *publisher) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	have := &certificatesv1.ClusterTrustBundle{}
	err := p.env.Cache.Get(ctx, req.NamespacedName, have)
	switch {
	case apierrors.IsNotFound(err):
		err = p.env.Write.Create(ctx, &certificatesv1.ClusterTrustBundle{
			ObjectMeta: metav1.ObjectMeta{Name: req.Name}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: Signer, TrustBundle: p.ca},
		})
		if apierrors.IsAlreadyExists(err) {
			err = nil
		}
	case err == nil && have.Spec.TrustBundle != p.ca:
		next := have.DeepCopy()
		next.Spec.TrustBundle = p.ca
		err = p.env.Write.Update(ctx, next)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("publish the certificate authority as %s: %w", req.Name, err)
	}
	all := &certificatesv1.ClusterTrustBundleList{}
	if err := p.env.Cache.List(ctx, all); err != nil {
		return reconcile.Result{}, err
	}
	for i := range all.Items {
		former := &all.Items[i]
		if former.Spec.SignerName != Signer || former.Name == req.Name || former.DeletionTimestamp != nil {
			continue
		}
		if err := p.env.Write.Delete(ctx, former.DeepCopy()); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("delete the former trust bundle %s: %w", former.Name, err)
		}
	}
	return reconcile.Result{}, nil
}
