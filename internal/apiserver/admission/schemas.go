package admission

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi"
)

// withSchemas holds requests back until the plugin knows the schemas that it
// merges by. It asks for them as it starts and would refuse every request that
// is there before the answer.
type withSchemas struct {
	*mutating.Plugin
	known <-chan struct{}
}

// Admit implements admission.MutationInterface.
func (p withSchemas) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	select {
	case <-p.known:
		return p.Plugin.Admit(ctx, a, o)
	case <-ctx.Done():
		return admission.NewForbidden(a, errors.New("not yet ready to handle request"))
	}
}

// schemaClient calls answered when OpenAPI has said which schemas there are.
type schemaClient struct {
	kubernetes.Interface
	answered func()
}

func newSchemaClient(client kubernetes.Interface) (kubernetes.Interface, <-chan struct{}) {
	known := make(chan struct{})
	return schemaClient{client, sync.OnceFunc(func() { close(known) })}, known
}

// Discovery implements kubernetes.Interface.
func (c schemaClient) Discovery() discovery.DiscoveryInterfaces {
	return schemaDiscovery{c.Interface.Discovery(), c.answered}
}

type schemaDiscovery struct {
	discovery.DiscoveryInterfaces
	answered func()
}

// OpenAPIV3 implements discovery.OpenAPIV3SchemaInterface.
func (d schemaDiscovery) OpenAPIV3() openapi.Client {
	return schemaPaths{d.DiscoveryInterfaces.OpenAPIV3(), d.answered}
}

type schemaPaths struct {
	openapi.Client
	answered func()
}

// Paths implements openapi.Client.
func (p schemaPaths) Paths() (map[string]openapi.GroupVersion, error) {
	paths, err := p.Client.Paths()
	if err == nil {
		p.answered()
	}
	return paths, err
}
