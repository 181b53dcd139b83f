package apiserver

import (
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"berth.dev/berth/internal/api"
	"berth.dev/berth/internal/apiserver/route"
	"berth.dev/berth/internal/openapi/documents"
)

// newMain builds the server of the declared kinds, which passes what it does
// not know on to the one of custom resource definitions.
func (s *Server) newMain(sec *security) (*genericapiserver.GenericAPIServer, error) {
	c, err := s.genericConfig(api.Codecs, sec)
	if err != nil {
		return nil, err
	}
	c.SharedInformerFactory = s.parts.Informers
	c.AggregatedDiscoveryGroupManager = s.crds.GenericAPIServer.AggregatedDiscoveryGroupManager
	g := groups{server: s}
	infos, err := g.build()
	if err != nil {
		return nil, err
	}
	if s.others, err = s.newAggregator(infos); err != nil {
		return nil, err
	}
	c.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		chain := genericapiserver.DefaultBuildHandlerChain(recovered(guarded(s.others.Wrap(handler), s.config.Kinds, c.MaxRequestBodyBytes)), c)
		return whileQuorum(chain, s.config.Datastore.Quorum)
	}
	main, err := c.Complete().New("berth", s.crds.GenericAPIServer)
	if err != nil {
		return nil, err
	}
	main.ShutdownTimeout = stopWithin
	main.Handler.GoRestfulContainer.Router(&route.Router{})
	if err := install(main, &c.Config, infos); err != nil {
		return nil, err
	}
	s.counted.install(main.Handler.NonGoRestfulMux, s.config.Datastore)
	for path, h := range s.config.Handlers {
		if h.Prefix {
			main.Handler.NonGoRestfulMux.HandlePrefix(path, h)
		} else {
			main.Handler.NonGoRestfulMux.Handle(path, h)
		}
	}
	s.main = main
	s.openapi = newOpenAPI(main, s.crds, s.others)
	main.Handler.NonGoRestfulMux.Handle("/openapi/v2", s.openapi)
	main.Handler.NonGoRestfulMux.Handle(documents.Path, s.openapi)
	main.Handler.NonGoRestfulMux.HandlePrefix("/openapi/v3/", s.openapi)
	return main, s.addHooks()
}
