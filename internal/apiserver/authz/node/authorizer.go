package node

import (
	"context"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/apiserver/authz/rbac"
)

// patience is how long a refusal waits for the graph to catch up with the
// watch that told the node.
const patience = 200 * time.Millisecond

// Authorizer decides for nodes, and has no opinion on others.
type Authorizer struct {
	graph *Graph
	rules []rbacv1.PolicyRule
	clock clock.Clock
}

var (
	_ authorizer.Authorizer   = (*Authorizer)(nil)
	_ authorizer.RuleResolver = (*Authorizer)(nil)
)

// New decides by graph and, for what is the same on all nodes, by rules (those
// of the cluster role system:node).
func New(graph *Graph, rules []rbacv1.PolicyRule, c clock.Clock) *Authorizer {
	return &Authorizer{graph: graph, rules: rules, clock: c}
}

// request is what the parts of the decision look at.
type request struct {
	authorizer.Attributes
	ctx  context.Context
	node string
}

type verdict struct {
	allow  bool
	reason string
}

var (
	yes = verdict{allow: true}
	no  = verdict{}
)

func because(reason string) verdict { return verdict{reason: reason} }

// Authorize implements authorizer.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	name, isNode := Identity(attrs.GetUser())
	if !isNode {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if name == "" {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", attrs.GetUser().GetName()), nil
	}
	if v := a.decide(request{attrs, ctx, name}); !v.allow {
		return authorizer.DecisionNoOpinion, v.reason, nil
	}
	return authorizer.DecisionAllow, "", nil
}

func (a *Authorizer) decide(r request) verdict {
	if r.IsResourceRequest() {
		switch (schema.GroupResource{Group: r.GetAPIGroup(), Resource: r.GetResource()}) {
		case schema.GroupResource{Resource: "secrets"}:
			return a.readNamed(r, secret)
		case schema.GroupResource{Resource: "configmaps"}:
			return a.readNamed(r, configMap)
		case schema.GroupResource{Resource: "persistentvolumeclaims"}:
			return a.claim(r)
		case schema.GroupResource{Resource: "persistentvolumes"}:
			return a.getOne(r, func(g *Graph) bool {
				claim, ok := g.claims[r.GetName()]
				return ok && g.uses(r.node, claim)
			})
		case schema.GroupResource{Resource: "serviceaccounts"}:
			return a.account(r)
		case schema.GroupResource{Group: "certificates.k8s.io", Resource: "podcertificaterequests"}:
			return podCertificates(r)
		case schema.GroupResource{Resource: "nodes"}:
			return nodes(r)
		case schema.GroupResource{Resource: "pods"}:
			return a.pods(r)
		case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
			return leases(r)
		case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
			return csiNodes(r)
		case schema.GroupResource{Group: "storage.k8s.io", Resource: "volumeattachments"}:
			return a.getOne(r, func(g *Graph) bool { return g.attached[r.GetName()] == r.node })
		case schema.GroupResource{Group: spiderpoolGroup, Resource: "spiderendpoints"}:
			return a.addresses(r)
		}
	}
	if rbac.RulesAllow(r, a.rules...) {
		return yes
	}
	return no
}

// related waits shortly until ask is true.
func (a *Authorizer) related(r request, ask func(*Graph) bool) verdict {
	if r.GetName() == "" {
		return because("No Object name found")
	}
	ok, moved := a.graph.look(ask)
	if !ok {
		late := a.clock.NewTimer(patience)
		defer late.Stop()
		for waiting := true; !ok && waiting; {
			select {
			case <-moved:
				ok, moved = a.graph.look(ask)
			case <-late.C():
				waiting = false
			case <-r.ctx.Done():
				waiting = false
			}
		}
	}
	if !ok {
		return because(fmt.Sprintf("no relationship found between node '%s' and this object", r.node))
	}
	return yes
}

// podHere asks whether the pod of that name is on the node.
func podHere(r request) func(*Graph) bool {
	key := types.NamespacedName{Namespace: r.GetNamespace(), Name: r.GetName()}
	return func(g *Graph) bool { return g.pods[key].node == r.node }
}

// RulesFor implements authorizer.RuleResolver: a node's rights cannot be listed.
func (a *Authorizer) RulesFor(_ context.Context, who user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := Identity(who); isNode {
		return nil, nil, true, fmt.Errorf("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}

// ConditionsAwareAuthorize implements authorizer.Authorizer: there are no conditions.
func (a *Authorizer) ConditionsAwareAuthorize(ctx context.Context, attrs authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(a.Authorize(ctx, attrs))
}

// EvaluateConditions implements authorizer.Authorizer.
func (a *Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}
