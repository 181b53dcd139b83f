package aggregation

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	extensions "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	informers "k8s.io/kube-aggregator/pkg/client/informers/externalversions"
	listers "k8s.io/kube-aggregator/pkg/client/listers/apiregistration/v1"
)

// ServiceResolver finds where a port of a Service answers.
type ServiceResolver interface {
	ResolveEndpoint(namespace, name string, port int32) (*url.URL, error)
}

// Options are what an Aggregator needs of the server that it stands in front of.
type Options struct {
	// Client is privileged and reaches this server.
	Client *rest.Config
	// BuiltIn are the group versions that this server answers itself, custom
	// resources aside.
	BuiltIn []schema.GroupVersion
	CRDs    extensions.CustomResourceDefinitionInformer
	// Discovery holds the aggregated discovery document of the server.
	Discovery aggregated.ResourceManager
	Resolver  ServiceResolver
	// CertFile and KeyFile show remote servers that requests come from here.
	CertFile, KeyFile string
	// RegisterAfter, when not nil, is closed when there is time to write the
	// APIServices of built-in groups; RegisterAtTheLatest bounds the wait.
	RegisterAfter       <-chan struct{}
	RegisterAtTheLatest time.Duration
	// Stopped is closed when the server stops.
	Stopped <-chan struct{}
}

// Aggregator routes requests to remote API servers.
type Aggregator struct {
	o         Options
	client    clientset.Interface
	informers informers.SharedInformerFactory
	services  listers.APIServiceLister
	routes    atomic.Pointer[map[string]*target] // of remote APIServices by path
	groupDocs http.Handler                       // /apis, in both forms

	mu      sync.Mutex
	targets map[string]*target // by the APIService's name
	far     *far               // nil until the first remote APIService appears

	documents documents
}

// New makes an Aggregator. Nothing runs before Start.
func New(o Options) (*Aggregator, error) {
	client, err := clientset.NewForConfig(o.Client)
	if err != nil {
		return nil, err
	}
	a := &Aggregator{o: o, client: client, targets: map[string]*target{}}
	a.informers = informers.NewSharedInformerFactory(client, 0)
	services := a.informers.Apiregistration().V1().APIServices()
	a.services = services.Lister()
	if _, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { a.changed(obj) },
		UpdateFunc: func(old, obj any) { a.changed(old, obj) },
		DeleteFunc: func(obj any) { a.changed(obj) },
	}); err != nil {
		return nil, err
	}
	a.groupDocs = aggregated.WrapAggregatedDiscoveryToHandler(http.HandlerFunc(a.serveGroups), o.Discovery, nil)
	for _, gv := range o.BuiltIn {
		p := PrioritiesOf(gv)
		o.Discovery.SetGroupVersionPriority(metav1.GroupVersion(gv), int(p.Group), int(p.Version))
	}
	return a, nil
}

// Start reads the APIServices that exist and returns when requests can be
// routed by them.
func (a *Aggregator) Start(ctx context.Context) {
	a.informers.StartWithContext(ctx)
	a.informers.WaitForCacheSyncWithContext(ctx)
	a.refresh()
}

// changed looks at the routes again if a remote APIService is concerned.
func (a *Aggregator) changed(objs ...any) {
	for _, obj := range objs {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if s, ok := obj.(*apiregistrationv1.APIService); !ok || s.Spec.Service != nil {
			a.refresh()
			return
		}
	}
}

// refresh makes the routes what the APIServices say.
func (a *Aggregator) refresh() {
	all, err := a.services.List(labels.Everything())
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	targets, routes := map[string]*target{}, map[string]*target{}
	for _, s := range all {
		if s.Spec.Service == nil {
			continue
		}
		if a.far == nil {
			a.far = newFar(a)
			defer close(a.far.known)
		}
		t := a.targets[s.Name]
		if t == nil || t.service.ResourceVersion != s.ResourceVersion {
			t = a.newTarget(s)
			a.far.discovery.AddAPIService(s, t.always())
		}
		targets[s.Name] = t
		routes[t.path()] = t
	}
	for name := range a.targets {
		if targets[name] == nil {
			a.far.discovery.RemoveAPIService(name)
		}
	}
	a.targets = targets
	a.routes.Store(&routes)
}
