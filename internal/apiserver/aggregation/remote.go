package aggregation

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	kubeinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	"k8s.io/kube-aggregator/pkg/apiserver"
	informers "k8s.io/kube-aggregator/pkg/client/informers/externalversions"
	localavailability "k8s.io/kube-aggregator/pkg/controllers/status/local"
	availability "k8s.io/kube-aggregator/pkg/controllers/status/metrics"
	remoteavailability "k8s.io/kube-aggregator/pkg/controllers/status/remote"
)

const (
	// resync is how often the library looks at APIServices that did not change.
	resync = 5 * time.Minute
	// workers check the availability of this many APIServices at a time.
	workers = 5
)

// availabilityMetrics are registered once, however many servers a process has.
var availabilityMetrics = sync.OnceValue(func() *availability.Metrics {
	m := availability.New()
	if err := m.Register(legacyregistry.Register, legacyregistry.CustomRegister); err != nil {
		klog.ErrorS(err, "Registering the metrics of API services")
	}
	return m
})

// far is what runs once a remote APIService has been seen, until the server
// stops: checks of availability and downloads of discovery documents.
type far struct {
	cert      *dynamiccertificates.DynamicCertKeyPairContent // nil: none to show
	discovery apiserver.DiscoveryAggregationController
	known     chan struct{} // closed when the manager knows all APIServices of the start
	synced    chan struct{} // closed when every server's discovery was asked for once
}

func newFar(a *Aggregator) *far {
	ctx := wait.ContextForChannel(a.o.Stopped)
	r := &far{
		discovery: apiserver.NewDiscoveryManager(a.o.Discovery.WithSource(aggregated.AggregatorSource)),
		known:     make(chan struct{}),
		synced:    make(chan struct{}),
	}
	if a.o.CertFile != "" {
		cert, err := dynamiccertificates.NewDynamicServingContentFromFiles("aggregator-proxy-cert", a.o.CertFile, a.o.KeyFile)
		if err == nil {
			r.cert = cert
			go cert.Run(ctx, 1)
		} else {
			klog.ErrorS(err, "Remote API servers will not know who asks")
		}
	}
	go r.run(ctx, a)
	return r
}

// certificate is what remote servers are shown now.
func (r *far) certificate() (cert, key []byte) {
	if r.cert == nil {
		return nil, nil
	}
	return r.cert.CurrentCertKeyContent()
}

func (r *far) run(ctx context.Context, a *Aggregator) {
	if err := r.checkAvailability(ctx, a); err != nil {
		klog.ErrorS(err, "The availability of API services is not checked")
	}
	select {
	case <-r.known:
		r.discovery.Run(ctx.Done(), r.synced)
	case <-ctx.Done():
	}
}

func (r *far) checkAvailability(ctx context.Context, a *Aggregator) error {
	kube, err := kubernetes.NewForConfig(a.o.Client)
	if err != nil {
		return err
	}
	shared := kubeinformers.NewSharedInformerFactory(kube, 0)
	registrations := informers.NewSharedInformerFactory(a.client, resync)
	services := registrations.Apiregistration().V1().APIServices()
	client := a.client.ApiregistrationV1()
	here, err := localavailability.New(services, client, availabilityMetrics())
	if err != nil {
		return err
	}
	there, err := remoteavailability.New(services, shared.Core().V1().Services(), shared.Discovery().V1().EndpointSlices(),
		client, nil, r.certificate, a.o.Resolver, availabilityMetrics())
	if err != nil {
		return err
	}
	shared.StartWithContext(ctx)
	registrations.StartWithContext(ctx)
	go here.Run(1, ctx.Done())
	go there.Run(workers, ctx.Done())
	return nil
}

// WaitDiscovery returns when the discovery document holds what remote servers
// offer, as far as they answer.
func (a *Aggregator) WaitDiscovery(ctx context.Context) error {
	a.mu.Lock()
	r := a.far
	a.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
