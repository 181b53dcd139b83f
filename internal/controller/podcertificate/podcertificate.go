// Package podcertificate deletes the requests that nodes make for pods'
// certificates: what comes of one is known long before its time is over.
package podcertificate

import (
	"context"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// life is how long a request is kept, as upstream.
const life = 15 * time.Minute

// CleanerLoop declares the loop.
func CleanerLoop() loop.Loop {
	return loop.Loop{
		Name: "podcertificaterequestcleaner", User: "system:serviceaccount:kube-system:podcertificaterequestcleaner",
		Watches: []loop.Watch{{Kind: requests(), Map: func(_ context.Context, _ client.Reader, ev loop.Event) []reconcile.Request {
			if ev.New == nil || ev.Old != nil {
				return nil // its age is all that counts
			}
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(ev.New)}}
		}}},
		New: func(env loop.Env) reconcile.Reconciler { return &cleaner{env} },
	}
}

func requests() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(certificatesv1.SchemeGroupVersion.WithKind("PodCertificateRequest"))
	return o
}

type cleaner struct{ env loop.Env }

// Reconcile deletes one request, or waits for its end.
func (c *cleaner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	have := requests()
	if err := c.env.Cache.Get(ctx, req.NamespacedName, have); err != nil || have.DeletionTimestamp != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if left := have.CreationTimestamp.Add(life).Sub(c.env.Clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	uid := have.UID
	gone := &certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: req.Namespace, Name: req.Name}}
	if err := c.env.Write.Delete(ctx, gone, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("delete the old pod certificate request %s: %w", req, err)
	}
	return reconcile.Result{}, nil
}
