package admission

import (
	"cmp"
	"context"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
)

// ingressClassAnnotation is how ingresses named their class of old.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

// defaultIngressClass gives an ingress that names no class the default one.
type defaultIngressClass struct {
	*admission.Handler
	classes networkinglisters.IngressClassLister
}

func newDefaultIngressClass(o Options) *deferred {
	operations := []admission.Operation{admission.Create}
	return newDeferred(o, "DefaultIngressClass", networkingv1.Resource("ingressclasses"), operations, func(o Options) (admission.Interface, error) {
		classes := o.Informers.Networking().V1().IngressClasses()
		p := &defaultIngressClass{admission.NewHandler(operations...), classes.Lister()}
		p.SetReadyFunc(classes.Informer().HasSynced)
		return p, nil
	})
}

// Admit implements admission.MutationInterface.
func (p *defaultIngressClass) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != networkingv1.Resource("ingresses") || a.GetSubresource() != "" {
		return nil
	}
	ingress, ok := a.GetObject().(*networkingv1.Ingress)
	if !ok || ingress.Spec.IngressClassName != nil {
		return nil
	}
	if _, named := ingress.Annotations[ingressClassAnnotation]; named {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, errNotReady)
	}
	all, err := p.classes.List(labels.Everything())
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(c *networkingv1.IngressClass) bool {
		return c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true"
	})
	if len(all) > 0 {
		newest := slices.MinFunc(all, func(a, b *networkingv1.IngressClass) int {
			return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
		})
		ingress.Spec.IngressClassName = &newest.Name
	}
	return nil
}
