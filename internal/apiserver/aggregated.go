package apiserver

import (
	"context"
	"net/url"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	kubeaggregator "k8s.io/kube-aggregator/pkg/apiserver"

	"berth.dev/berth/internal/apiserver/aggregation"
)

// spareTimeAtTheLatest bounds the wait for Config.SpareTime.
const spareTimeAtTheLatest = 5 * time.Second

// newAggregator makes what routes requests to other API servers.
func (s *Server) newAggregator(infos []*genericapiserver.APIGroupInfo) (*aggregation.Aggregator, error) {
	builtIn := []schema.GroupVersion{apiextensionsv1.SchemeGroupVersion}
	for _, info := range infos {
		builtIn = append(builtIn, info.PrioritizedVersions...)
	}
	services := s.parts.Informers.Core().V1().Services().Lister()
	here := &url.URL{Scheme: "https", Host: s.listener.Addr().String()}
	return aggregation.New(aggregation.Options{
		Client:              s.parts.Config,
		BuiltIn:             builtIn,
		CRDs:                s.crds.Informers.Apiextensions().V1().CustomResourceDefinitions(),
		Discovery:           s.crds.GenericAPIServer.AggregatedDiscoveryGroupManager,
		Resolver:            kubeaggregator.NewLoopbackServiceResolver(clusterIPs{services}, here),
		CertFile:            s.config.FrontProxy.CertFile,
		KeyFile:             s.config.FrontProxy.KeyFile,
		RegisterAfter:       s.config.SpareTime,
		RegisterAtTheLatest: spareTimeAtTheLatest,
		Stopped:             s.stopped,
	})
}

// startAggregation keeps the APIServices in the background; readiness waits for
// the discovery of remote servers alone, if there are any.
func (s *Server) startAggregation(ctx context.Context, _ Parts) error {
	go s.others.Register(wait.ContextForChannel(s.stopped))
	return s.others.WaitDiscovery(ctx)
}
