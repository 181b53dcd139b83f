package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"berth.dev/berth/internal/api/quota"
)

const (
	// quotaWorkers are upstream's number of namespaces that are charged at once.
	quotaWorkers = 5
	// quotaRounds is how often a charge is tried that others keep getting in
	// the way of; the library tries four times in each.
	quotaRounds = 3
)

// resourceQuota charges a request to the quotas of its namespace by writing
// their status, before the object is stored. The library decides; how quotas
// are read and written is ours.
type resourceQuota struct {
	*admission.Handler
	quotas    *quotaAccess
	evaluator resourcequota.Evaluator
}

func newResourceQuota(o Options) *deferred {
	operations := []admission.Operation{admission.Create, admission.Update}
	return newDeferred(o, resourcequota.PluginName, corev1.Resource("resourcequotas"), operations,
		func(o Options) (admission.Interface, error) {
			informer := o.Informers.Core().V1().ResourceQuotas()
			quotas := newQuotaAccess(wait.ContextForChannel(o.Stopped), o.Client, informer.Lister())
			registry := generic.NewRegistry(quota.Evaluators(nil, o.Clock))
			p := &resourceQuota{
				Handler: admission.NewHandler(operations...), quotas: quotas,
				evaluator: resourcequota.NewQuotaEvaluator(quotas, quota.Ignored(), registry, nil, nil, quotaWorkers, o.Stopped),
			}
			p.SetReadyFunc(informer.Informer().HasSynced)
			return p, nil
		})
}

// Validate implements admission.ValidationInterface.
func (p *resourceQuota) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetNamespace() == "" || a.GetKind().GroupKind() == corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind() {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errNotReady)
	}
	if found, err := p.quotas.GetQuotas(a.GetNamespace()); err == nil && len(found) == 0 {
		return nil
	}
	var err error
	for range quotaRounds {
		if err = p.evaluator.Evaluate(a); !apierrors.IsConflict(err) || ctx.Err() != nil {
			break
		}
	}
	// There may be room of which the informer has not heard yet.
	if apierrors.IsForbidden(err) && p.quotas.refresh(ctx, a.GetNamespace()) {
		return p.evaluator.Evaluate(a)
	}
	return err
}
