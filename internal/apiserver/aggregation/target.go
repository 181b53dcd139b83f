package aggregation

import (
	"errors"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	"k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	apiserverproxy "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/client-go/transport"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/kube-aggregator/pkg/controllers/status/remote"
	"k8s.io/streaming/pkg/httpstream"
)

// target is the server of one remote APIService.
type target struct {
	service   *apiregistrationv1.APIService
	available bool
	resolver  ServiceResolver
	transport http.RoundTripper
	broken    error // why there is no transport, for example a bad CA bundle
}

func (a *Aggregator) newTarget(s *apiregistrationv1.APIService) *target {
	t := &target{service: s, resolver: a.o.Resolver, available: helper.IsAPIServiceConditionTrue(s, apiregistrationv1.Available)}
	cert, key := a.far.certificate()
	t.transport, t.broken = transport.New(remote.BuildTransportConfig(nil, cert, key, s))
	if t.broken != nil {
		klog.ErrorS(t.broken, "An APIService cannot be reached", "apiService", s.Name)
	}
	return t
}

// path is what the target answers for: it and all below.
func (t *target) path() string {
	if t.service.Spec.Group == "" {
		return "/api"
	}
	return "/apis/" + t.service.Spec.Group + "/" + t.service.Spec.Version
}

// always is the target without regard to whether it was available when last
// looked at, for those that want to find out.
func (t *target) always() http.Handler {
	out := *t
	out.available = true
	return &out
}

// ServeHTTP hands a request on to the remote server, with the user's name.
func (t *target) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	user, known := request.UserFrom(req.Context())
	switch {
	case !t.available:
		fail(w, req, errUnavailable, http.StatusServiceUnavailable)
		return
	case t.broken != nil:
		fail(w, req, t.broken, http.StatusInternalServerError)
		return
	case !known:
		fail(w, req, errNobody, http.StatusInternalServerError)
		return
	}
	ref := t.service.Spec.Service
	at, err := t.resolver.ResolveEndpoint(ref.Namespace, ref.Name, *ref.Port)
	if err != nil {
		klog.ErrorS(err, "Finding the server of an APIService", "apiService", t.service.Name)
		fail(w, req, errUnavailable, http.StatusServiceUnavailable)
		return
	}
	location := &url.URL{Scheme: "https", Host: at.Host, Path: req.URL.Path, RawQuery: req.URL.Query().Encode()}
	out, cancel := apiserverproxy.NewRequestForProxy(location, req)
	defer cancel()
	upgrade := httpstream.IsUpgradeRequest(req)
	if upgrade { // dialled without the transport, so the headers must be there already
		transport.SetAuthProxyHeaders(out, user.GetName(), user.GetUID(), user.GetGroups(), user.GetExtra())
	}
	as := transport.NewAuthProxyRoundTripper(user.GetName(), user.GetUID(), user.GetGroups(), user.GetExtra(), t.transport)
	utilflowcontrol.RequestDelegated(req.Context())
	proxy.NewUpgradeAwareHandler(location, as, true, upgrade, responder{w}).ServeHTTP(w, out)
}

var (
	errUnavailable = errors.New("service unavailable")
	errNobody      = errors.New("missing user")
)

func fail(w http.ResponseWriter, req *http.Request, err error, code int) {
	http.Error(w, err.Error(), code)
	if info, ok := request.RequestInfoFrom(req.Context()); ok {
		metrics.RecordRequestTermination(req, info, "aggregator", code)
	}
}

// responder says that the remote server could not be reached.
type responder struct{ w http.ResponseWriter }

func (r responder) Error(_ http.ResponseWriter, _ *http.Request, err error) {
	http.Error(r.w, err.Error(), http.StatusServiceUnavailable)
}
