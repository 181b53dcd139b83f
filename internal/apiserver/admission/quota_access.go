package admission

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/lru"
)

var errNotReady = errors.New("not yet ready to handle request")

// rememberedQuotas bounds how many quotas are known better than the informer
// knows them. One that is forgotten costs a conflict.
const rememberedQuotas = 1000

// quotaAccess reads quotas from the informer, but what it has written, or
// found in its way, it knows before the informer does.
type quotaAccess struct {
	ctx    context.Context //nolint:containedctx // the library's interface has none; it ends with the server
	client kubernetes.Interface
	lister corelisters.ResourceQuotaLister
	latest *lru.Cache // of latestQuota by name
}

// latestQuota is a quota newer than the informer's; nil once it is gone.
type latestQuota struct {
	quota *corev1.ResourceQuota
	uid   types.UID
}

func newQuotaAccess(ctx context.Context, client kubernetes.Interface, lister corelisters.ResourceQuotaLister) *quotaAccess {
	return &quotaAccess{ctx: ctx, client: client, lister: lister, latest: lru.New(rememberedQuotas)}
}

// GetQuotas implements resourcequota.QuotaAccessor.
func (q *quotaAccess) GetQuotas(namespace string) ([]corev1.ResourceQuota, error) {
	known, err := q.lister.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("error resolving quota: %w", err)
	}
	all := make([]corev1.ResourceQuota, 0, len(known))
	for _, one := range known {
		key := types.NamespacedName{Namespace: namespace, Name: one.Name}
		if l, ok := q.latest.Get(key); ok {
			latest := l.(latestQuota)
			switch {
			case latest.quota == nil && latest.uid == one.UID:
				continue
			case latest.quota != nil && version(latest.quota) > version(one):
				one = latest.quota
			default:
				q.latest.Remove(key)
			}
		}
		all = append(all, *one)
	}
	return all, nil
}

// UpdateQuotaStatus implements resourcequota.QuotaAccessor: it writes if nobody
// else has written, and else finds out what.
func (q *quotaAccess) UpdateQuotaStatus(quota *corev1.ResourceQuota) error {
	key := types.NamespacedName{Namespace: quota.Namespace, Name: quota.Name}
	quotas := q.client.CoreV1().ResourceQuotas(quota.Namespace)
	written, err := quotas.UpdateStatus(q.ctx, quota, metav1.UpdateOptions{})
	switch {
	case err == nil:
		q.latest.Add(key, latestQuota{quota: written})
		return nil
	case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		return err
	}
	now, failed := quotas.Get(q.ctx, quota.Name, metav1.GetOptions{})
	switch {
	case failed == nil:
		q.latest.Add(key, latestQuota{quota: now})
	case apierrors.IsNotFound(failed):
		q.latest.Add(key, latestQuota{uid: quota.UID})
	}
	return err
}

// refresh asks the API for the quotas of a namespace and says whether one is
// newer than was known.
func (q *quotaAccess) refresh(ctx context.Context, namespace string) bool {
	known, err := q.GetQuotas(namespace)
	if err != nil {
		return false
	}
	live, err := q.client.CoreV1().ResourceQuotas(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	newer := false
	for i := range live.Items {
		now := &live.Items[i]
		for j := range known {
			if known[j].Name == now.Name && version(now) > version(&known[j]) {
				q.latest.Add(types.NamespacedName{Namespace: namespace, Name: now.Name}, latestQuota{quota: now})
				newer = true
			}
		}
	}
	return newer
}

func version(quota *corev1.ResourceQuota) uint64 {
	v, err := strconv.ParseUint(quota.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return v
}
