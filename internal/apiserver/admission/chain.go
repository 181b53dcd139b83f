package admission

import (
	"errors"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/apiserver/authz/rbac"
	"berth.dev/berth/internal/apiserver/presence"
)

// Options are what the plugins look things up in.
type Options struct {
	// Client reads the API with the server's own rights, for what an informer has not seen yet.
	Client kubernetes.Interface
	// Informers are started by the caller.
	Informers informers.SharedInformerFactory
	// Authorizer answers who may bind and escalate, and who may ask for a token's audience.
	Authorizer authorizer.Authorizer
	// RBAC resolves rights for the checks against escalation.
	RBAC *rbac.Authorizer
	// TaintNewNodes taints a new node as not ready until a controller removes
	// that (TaintNodesByCondition).
	TaintNewNodes bool
	// Presence tells when the first webhook, policy, quota and so on exists.
	Presence *presence.Board
	// BuiltIn are the groups whose kinds nobody may define.
	BuiltIn []string
	// Config makes further clients with the server's own rights.
	Config *restclient.Config
	// Services finds webhooks that are Services.
	Services webhook.ServiceResolver
	// Stopped is closed when the server stops.
	Stopped <-chan struct{}
	Clock   clock.Clock // nil: real time
}

// New returns the chain of all plugins.
func New(o Options) (admission.Interface, error) {
	if o.Client == nil || o.Informers == nil || o.Authorizer == nil || o.RBAC == nil || o.Presence == nil {
		return nil, errors.New("admission: client, informers, authorizer, RBAC and presence are needed")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	lifecycle, err := newNamespaceLifecycle(o)
	if err != nil {
		return nil, err
	}
	accounts, err := newServiceAccount(o)
	if err != nil {
		return nil, err
	}
	chain := []admission.Interface{lifecycle, newLimitRanger(o), accounts, newNodeRestriction(o)}
	if o.TaintNewNodes {
		chain = append(chain, newTaintNodes())
	}
	security, err := newPodSecurity(o)
	if err != nil {
		return nil, err
	}
	chain = append(chain,
		security,
		newPriority(o),
		newDefaultTolerations(),
		newStorageProtection(),
		newDefaultStorageClass(o),
		newSigners(o),
		newEscalation(o),
		newClaimResize(o),
		newRuntimeClass(o),
		newDefaultIngressClass(o),
		newPodTopologyLabels(o),
		newMutatingPolicies(o),
		newMutatingWebhooks(o),
		newValidatingPolicies(o),
		newValidatingWebhooks(o),
		newBuiltInKinds(o),
		newResourceQuota(o),
	)
	return reinvoked{admission.NewChainHandler(chain...)}, nil
}
