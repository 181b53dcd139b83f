package ipam

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// retainedSince is since when nobody needs the addresses of a pod that is gone:
// as an earlier process noted, or now.
func (r *reconciler) retainedSince(ctx context.Context, key types.NamespacedName, now time.Time) time.Time {
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	if err := r.env.Cache.Get(ctx, key, e); err != nil {
		return now
	}
	since, err := time.Parse(time.RFC3339, e.Annotations[RetainedSince])
	if err != nil || since.After(now) {
		return now
	}
	return since
}

// noteRetained makes the time durable, so that a restart does not begin anew.
func (r *reconciler) noteRetained(ctx context.Context, key types.NamespacedName, since time.Time) error {
	if !r.own.Seen(ctx, key) {
		return nil // its event wakes us
	}
	e := &spiderpoolv2beta1.SpiderEndpoint{}
	if err := r.env.Cache.Get(ctx, key, e); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if e.Annotations[RetainedSince] != "" {
		return nil
	}
	e = e.DeepCopy()
	metav1.SetMetaDataAnnotation(&e.ObjectMeta, RetainedSince, since.UTC().Format(time.RFC3339))
	if err := r.own.Writer(key).Update(ctx, e); err != nil {
		return fmt.Errorf("note since when the address of pod %s is kept: %w", key, err)
	}
	return nil
}
