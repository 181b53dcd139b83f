package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/kubernetes"
)

// The kubelet's defaults, how long an answer of the API server is good for.
const (
	tokenKept   = 2 * time.Minute
	allowedKept = 5 * time.Minute
	deniedKept  = 30 * time.Second
	askWithin   = 10 * time.Second
)

// Access asks the API server who has a token and who may do what: a Prometheus
// with the right to nodes/metrics reads the metrics of a node itself, for one.
type Access struct {
	who authenticator.Request
	may authorizer.Authorizer
}

// NewAccess asks through client, whose user may create token reviews and subject
// access reviews.
func NewAccess(client kubernetes.Interface) (*Access, error) {
	// Who asks tries again by itself.
	once := &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 2}
	who, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient: client.AuthenticationV1(), TokenAccessReviewTimeout: askWithin, WebhookRetryBackoff: once, CacheTTL: tokenKept,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("the node's server: %w", err)
	}
	may, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(), AllowCacheTTL: allowedKept, DenyCacheTTL: deniedKept, WebhookRetryBackoff: once,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("the node's server: %w", err)
	}
	return &Access{who, may}, nil
}

// allowed lets in the API server and administrators, by their certificates, and
// whom the API server names and allows.
func (s *Server) allowed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.identify(r)
		if err != nil || who == nil {
			if err != nil {
				s.cfg.Log.Debug("a token was not accepted", "error", err)
			}
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		if slices.Contains(s.cfg.Users, who.GetName()) || slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
			next.ServeHTTP(w, r)
			return
		}
		var asked []string
		for _, a := range attributes(who, r, s.cfg.NodeName) {
			if s.cfg.Access != nil {
				decision, _, err := s.cfg.Access.may.Authorize(r.Context(), a)
				if err != nil {
					text := fmt.Sprintf("Authorization error (user=%s, verb=%s, resource=%s, subresource=%s)", who.GetName(), a.GetVerb(), a.GetResource(), a.GetSubresource())
					s.cfg.Log.Error(text, "error", err)
					http.Error(w, text, http.StatusInternalServerError)
					return
				}
				if decision == authorizer.DecisionAllow {
					next.ServeHTTP(w, r)
					return
				}
			}
			asked = append(asked, a.GetSubresource())
		}
		http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=%v)", who.GetName(), verb(r.Method), asked), http.StatusForbidden)
	})
}

// identify is who asks: by a certificate, else by a token. It is nil for nobody.
func (s *Server) identify(r *http.Request) (user.Info, error) {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		subject := r.TLS.VerifiedChains[0][0].Subject
		return &user.DefaultInfo{Name: subject.CommonName, Groups: append(slices.Clone(subject.Organization), user.AllAuthenticated)}, nil
	}
	if s.cfg.Access == nil {
		return nil, nil
	}
	response, ok, err := s.cfg.Access.who.AuthenticateRequest(r)
	if err != nil || !ok {
		return nil, err
	}
	return response.User, nil
}

// attributes are the rights of which one is needed, as the kubelet's
// (KubeletFineGrainedAuthz): on a subresource of the node.
func attributes(who user.Info, r *http.Request, node string) []authorizer.Attributes {
	var out []authorizer.Attributes
	for _, subresource := range subresources(r.URL.Path) {
		out = append(out, authorizer.AttributesRecord{
			User: who, Verb: verb(r.Method), Namespace: "", APIVersion: "v1", Resource: "nodes", Subresource: subresource, Name: node,
			ResourceRequest: true, Path: r.URL.Path,
		})
	}
	return out
}

func subresources(path string) []string {
	below := func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
	switch {
	case below("/stats"):
		return []string{"stats"}
	case below("/metrics"):
		return []string{"metrics"}
	case below("/pods"):
		return []string{"pods", "proxy"}
	case below("/healthz"):
		return []string{"healthz", "proxy"}
	}
	return []string{"proxy"}
}

func verb(method string) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return "get"
}
