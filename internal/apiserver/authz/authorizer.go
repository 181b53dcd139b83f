package authz

import (
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/apiserver/authz/node"
	"berth.dev/berth/internal/apiserver/authz/rbac"
)

// AlwaysAllowed are the paths that need no rights.
var AlwaysAllowed = []string{"/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*", "/version", "/version/"}

// Options are what rights are decided from.
type Options struct {
	// Informers are started by the caller, after New has made them slim.
	Informers informers.SharedInformerFactory
	// Defaults are the compiled-in roles and bindings (bootstrap/policy).
	Defaults rbac.Objects
	Clock    clock.Clock // nil: real time
}

// Authorizer decides over every request.
type Authorizer struct {
	authorizer.Authorizer
	authorizer.RuleResolver
	// RBAC resolves roles; bootstrap settles it.
	RBAC   *rbac.Authorizer
	synced []cache.InformerSynced
}

// New joins the authorizers. Its informers are registered but not started.
func New(o Options) (*Authorizer, error) {
	if o.Informers == nil {
		return nil, errors.New("authz: no informers given")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if err := slim(o.Informers); err != nil {
		return nil, err
	}
	byRole, err := rbac.New(o.Informers, o.Defaults)
	if err != nil {
		return nil, err
	}
	graph := node.NewGraph()
	graphSynced, err := graph.Populate(o.Informers)
	if err != nil {
		return nil, err
	}
	byNode := node.New(graph, nodeRules(o.Defaults), o.Clock)
	open, err := path.NewAuthorizer(AlwaysAllowed)
	if err != nil {
		return nil, err
	}
	all, err := union.New(
		union.NamedAuthorizer{AuthorizerName: "privileged", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		union.NamedAuthorizer{AuthorizerName: "path", Authorizer: open},
		union.NamedAuthorizer{AuthorizerName: "node", Authorizer: byNode},
		union.NamedAuthorizer{AuthorizerName: "rbac", Authorizer: byRole},
	)
	if err != nil {
		return nil, err
	}
	return &Authorizer{
		Authorizer:   all,
		RuleResolver: union.NewRuleResolvers(byNode, byRole),
		RBAC:         byRole,
		synced:       []cache.InformerSynced{byRole.HasSynced, graphSynced},
	}, nil
}

// HasSynced says that everything stored that rights depend on is known.
func (a *Authorizer) HasSynced() bool {
	for _, synced := range a.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// nodeRules are those of system:node, which the node authorizer grants itself
// and which no binding hands out.
func nodeRules(defaults rbac.Objects) []rbacv1.PolicyRule {
	for _, role := range defaults.ClusterRoles {
		if role.Name == "system:node" {
			return role.Rules
		}
	}
	return nil
}
