package apiserver

import (
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"

	"berth.dev/berth/internal/apiserver/inprocess"
	"berth.dev/berth/internal/base/stack"
)

// Handler serves one path, or all below it when Prefix is set.
type Handler struct {
	http.Handler
	Prefix bool
	// LongRunning: an answer may take longer than requests may otherwise.
	LongRunning bool
}

// security is what both generic servers share.
type security struct {
	authenticator authenticator.Request
	authorizer    authorizer.Authorizer
	rules         authorizer.RuleResolver
	admission     admission.Interface
	audit         *auditing
}

func (s *Server) secure() (*security, error) {
	out := &security{authenticator: inprocess.Authenticator()}
	if f := s.config.Authenticator; f != nil {
		external, err := f(s.parts)
		if err != nil {
			return nil, fmt.Errorf("apiserver: authentication: %w", err)
		}
		out.authenticator = union.New(out.authenticator, external)
	}
	out.authenticator = roomy(out.authenticator)
	var err error
	out.authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	if f := s.config.Authorizer; f != nil {
		// Not joined with others here: a union puts its name before every reason.
		if out.authorizer, out.rules, err = f(s.parts); err != nil {
			return nil, fmt.Errorf("apiserver: authorization: %w", err)
		}
	}
	if out.audit, err = s.auditing(); err != nil {
		return nil, err
	}
	s.parts.Authorizer, s.parts.Rules = out.authorizer, out.rules
	if f := s.config.Admission; f != nil {
		if out.admission, err = f(s.parts); err != nil {
			return nil, fmt.Errorf("apiserver: admission: %w", err)
		}
	}
	return out, nil
}

// roomy is where our code first meets the goroutine that the library's filter
// for timeouts makes for each request.
func roomy(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		stack.Reserve()
		return next.AuthenticateRequest(req)
	})
}

func (s *Server) extraStorage() (map[schema.GroupVersion]map[string]rest.Storage, error) {
	if s.config.Storage == nil {
		return nil, nil
	}
	return s.config.Storage(s.parts)
}

// genericConfig is the part of a server's configuration that the main server
// and the one for custom resource definitions have in common.
func (s *Server) genericConfig(codecs serializer.CodecFactory, sec *security) (*genericapiserver.RecommendedConfig, error) {
	serving, err := s.serving()
	if err != nil {
		return nil, err
	}
	c := genericapiserver.NewRecommendedConfig(codecs)
	c.SecureServing = serving
	c.ExternalAddress = s.listener.Addr().String()
	c.LoopbackClientConfig = s.parts.Config
	c.EffectiveVersion = newEffectiveVersion()
	c.Flagz = s.config.Flags
	c.Authentication.Authenticator = sec.authenticator
	c.Authentication.APIAudiences = s.config.Audiences
	c.Authorization.Authorizer = sec.authorizer
	c.RuleResolver = sec.rules
	c.AdmissionControl = sec.admission
	c.AuditBackend, c.AuditPolicyRuleEvaluator = sec.audit.backend, sec.audit.policy
	s.encrypted.addTo(&c.Config)
	long := genericfilters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"),
	)
	c.LongRunningFunc = func(r *http.Request, info *request.RequestInfo) bool {
		return long(r, info) || s.config.Handlers[r.URL.Path].LongRunning
	}
	c.ShutdownWatchTerminationGracePeriod = stopWithin / 2
	c.StorageObjectCountTracker = nil // serves priority and fairness alone
	c.SkipOpenAPIInstallation = true  // see openAPI
	c.OpenAPIV3Config = s.openAPIV3Config()
	etcd := func(r *http.Request) error { return s.config.Datastore.Check(r.Context()) }
	c.AddHealthChecks(healthz.NamedCheck("etcd", etcd))
	c.AddReadyzChecks(healthz.NamedCheck("etcd-readiness", etcd))
	return c, nil
}

func (s *Server) serving() (*genericapiserver.SecureServingInfo, error) {
	t := s.config.TLS
	cert, err := dynamiccertificates.NewDynamicServingContentFromFiles("serving-cert", t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("apiserver: serving certificate: %w", err)
	}
	info := &genericapiserver.SecureServingInfo{Listener: s.listener, Cert: cert}
	if t.ClientCAFile != "" {
		ca, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", t.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("apiserver: client authorities: %w", err)
		}
		info.ClientCA = ca
	}
	if t.FrontProxyCAFile != "" {
		ca, err := dynamiccertificates.NewDynamicCAContentFromFile("front-proxy-ca", t.FrontProxyCAFile)
		if err != nil {
			return nil, fmt.Errorf("apiserver: front proxy authorities: %w", err)
		}
		if info.ClientCA == nil {
			info.ClientCA = ca
		} else {
			info.ClientCA = dynamiccertificates.NewUnionCAContentProvider(info.ClientCA, ca)
		}
	}
	return info, nil
}
