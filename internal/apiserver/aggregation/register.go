package aggregation

import (
	"context"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/controllers/autoregister"
)

// metricsGroup is served here until somebody registers another server for it.
// It has no APIService meanwhile, or whoever installs one (metrics-server's
// chart for example) would be told that it exists and is not theirs.
const metricsGroup = "metrics.k8s.io"

// Register keeps the APIServices of what this server answers itself until ctx
// ends: those of built-in groups are written once, those of custom resources
// follow their definitions. The group
// that all others hang on has none.
func (a *Aggregator) Register(ctx context.Context) {
	if a.o.RegisterAfter != nil {
		late := time.NewTimer(a.o.RegisterAtTheLatest)
		select {
		case <-a.o.RegisterAfter:
		case <-late.C:
		case <-ctx.Done():
		}
		late.Stop()
	}
	if ctx.Err() != nil {
		return
	}
	keeper := autoregister.NewAutoRegisterController(a.informers.Apiregistration().V1().APIServices(), a.client.ApiregistrationV1())
	for _, gv := range a.o.BuiltIn {
		if gv.Group != apiregistrationv1.GroupName && gv.Group != metricsGroup {
			keeper.AddAPIServiceToSyncOnStart(local(gv, PrioritiesOf(gv)))
		}
	}
	r := registrar{aggregator: a, keeper: keeper}
	handler, err := a.o.CRDs.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.definition(obj) },
		UpdateFunc: func(old, obj any) { r.definition(old); r.definition(obj) },
		DeleteFunc: func(obj any) { r.definition(obj) },
	})
	if err != nil {
		return
	}
	defer func() { _ = a.o.CRDs.Informer().RemoveEventHandler(handler) }()
	// Before the first look at what is stored: an APIService whose definition
	// is not known yet would be deleted.
	if crds, err := a.o.CRDs.Lister().List(labels.Everything()); err == nil {
		for _, crd := range crds {
			r.definition(crd)
		}
	}
	keeper.Run(1, ctx.Done())
}

// registrar follows custom resource definitions.
type registrar struct {
	aggregator *Aggregator
	keeper     autoregister.AutoAPIServiceRegistration
}

func (r registrar) definition(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return
	}
	for _, v := range crd.Spec.Versions {
		r.version(schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name})
	}
}

// version keeps an APIService as long as some definition serves gv.
func (r registrar) version(gv schema.GroupVersion) {
	s := local(gv, custom)
	crds, err := r.aggregator.o.CRDs.Lister().List(labels.Everything())
	if err != nil {
		return
	}
	for _, crd := range crds {
		if crd.Spec.Group != gv.Group {
			continue
		}
		for _, v := range crd.Spec.Versions {
			if v.Name == gv.Version && v.Served {
				r.keeper.AddAPIServiceToSync(s)
				return
			}
		}
	}
	r.keeper.RemoveAPIServiceToSync(s.Name)
}
