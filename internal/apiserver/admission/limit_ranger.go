package admission

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
)

const (
	// emptyFor is how long a namespace that the API says has no limit ranges
	// is taken to have none.
	emptyFor       = 30 * time.Second
	rememberEmpty  = 10_000
	limitRangerKey = "kubernetes.io/limit-ranger"
)

// limitRanger fills in and checks what pods and claims ask for.
type limitRanger struct {
	*admission.Handler
	client kubernetes.Interface
	ranges corelisters.LimitRangeLister
	clock  clock.PassiveClock
	found  *lru.Cache // of looked by namespace
}

// looked is what the API has said about a namespace without limit ranges in the informer.
type looked struct {
	until  time.Time
	ranges []*corev1.LimitRange
}

func newLimitRanger(o Options) *deferred {
	operations := []admission.Operation{admission.Create, admission.Update}
	return newDeferred(o, "LimitRanger", corev1.Resource("limitranges"), operations, func(o Options) (admission.Interface, error) {
		ranges := o.Informers.Core().V1().LimitRanges()
		p := &limitRanger{
			Handler: admission.NewHandler(operations...), client: o.Client, ranges: ranges.Lister(), clock: o.Clock, found: lru.New(rememberEmpty),
		}
		p.SetReadyFunc(ranges.Informer().HasSynced)
		return p, nil
	})
}

// Admit implements admission.MutationInterface.
func (p *limitRanger) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok || !limited(a) {
		return nil
	}
	ranges, err := p.rangesOf(ctx, a)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		applyDefaults(r, pod)
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *limitRanger) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !limited(a) {
		return nil
	}
	ranges, err := p.rangesOf(ctx, a)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if err := withinLimits(r, a.GetObject()); err != nil {
			return admission.NewForbidden(a, err)
		}
	}
	return nil
}

// limited says whether limit ranges have a say: new pods and claims, changed
// claims, and resized pods.
func limited(a admission.Attributes) bool {
	if old, ok := a.GetOldObject().(metav1.Object); ok && old.GetDeletionTimestamp() != nil {
		return false
	}
	update := a.GetOperation() == admission.Update
	switch a.GetObject().(type) {
	case *corev1.Pod:
		return a.GetSubresource() == "" && !update || a.GetSubresource() == "resize" && update
	case *corev1.PersistentVolumeClaim:
		return a.GetSubresource() == ""
	}
	return false
}

// rangesOf asks the API itself about a namespace of which the informer knows
// nothing: one may just have been made.
func (p *limitRanger) rangesOf(ctx context.Context, a admission.Attributes) ([]*corev1.LimitRange, error) {
	if !p.WaitForReady() {
		return nil, admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	namespace := a.GetNamespace()
	ranges, err := p.ranges.LimitRanges(namespace).List(labels.Everything())
	if err != nil {
		return nil, admission.NewForbidden(a, fmt.Errorf("unable to %s %v at this time because there was an error enforcing limit ranges", a.GetOperation(), a.GetResource()))
	}
	if len(ranges) > 0 {
		return ranges, nil
	}
	if l, ok := p.found.Get(namespace); ok && p.clock.Now().Before(l.(looked).until) {
		return l.(looked).ranges, nil
	}
	live, err := p.client.CoreV1().LimitRanges(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, admission.NewForbidden(a, err)
	}
	for i := range live.Items {
		ranges = append(ranges, &live.Items[i])
	}
	p.found.Add(namespace, looked{p.clock.Now().Add(emptyFor), ranges})
	return ranges, nil
}
