package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var errInvalidated = errors.New("service account token has been invalidated")

// stillBound checks that the account, and the pod, secret or node that the
// token is bound to, exist with the same UID.
func (v *Verifier) stillBound(ctx context.Context, k kubernetesClaims) error {
	// What is on its way out counts as gone a moment after its grace period.
	goneBefore := v.o.Clock.Now().Add(-jwt.DefaultLeeway)

	account, err := v.find(k.Account.UID, func(o Objects) (metav1.Object, error) {
		return o.ServiceAccount(ctx, k.Namespace, k.Account.Name)
	})
	switch {
	case err != nil:
		return err
	case gone(account, goneBefore):
		return fmt.Errorf("service account %s/%s has been deleted", k.Namespace, k.Account.Name)
	case account.GetUID() != k.Account.UID:
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", account.GetUID(), k.Account.UID)
	}
	if ref := k.Secret; ref != nil {
		secret, err := v.find(ref.UID, func(o Objects) (metav1.Object, error) { return o.Secret(ctx, k.Namespace, ref.Name) })
		if err := check("secret", ref, secret, err, goneBefore); err != nil {
			return err
		}
	}
	if ref := k.Pod; ref != nil {
		pod, err := v.find(ref.UID, func(o Objects) (metav1.Object, error) { return o.Pod(ctx, k.Namespace, ref.Name) })
		// A pod's token also names its node, for information: the pod decides.
		return check("pod", ref, pod, err, goneBefore)
	}
	if ref := k.Node; ref != nil {
		node, err := v.find(ref.UID, func(o Objects) (metav1.Object, error) { return o.Node(ctx, ref.Name) })
		return check("node", ref, node, err, goneBefore)
	}
	return nil
}

// find looks in the cache and, when that has nothing or something of another
// UID, at the truth: a cache can be late on both sides.
func (v *Verifier) find(uid types.UID, get func(Objects) (metav1.Object, error)) (metav1.Object, error) {
	if v.o.Cached != nil {
		if obj, err := get(v.o.Cached); err == nil && obj.GetUID() == uid {
			return obj, nil
		}
	}
	return get(v.o.Live)
}

func check(kind string, ref *reference, obj metav1.Object, err error, goneBefore time.Time) error {
	switch {
	case err != nil, gone(obj, goneBefore):
		return errInvalidated
	case obj.GetUID() != ref.UID:
		return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", kind, obj.GetUID(), kind, ref.UID)
	}
	return nil
}

func gone(obj metav1.Object, before time.Time) bool {
	at := obj.GetDeletionTimestamp()
	return at != nil && at.Time.Before(before)
}
