package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	restclient "k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver/registry"
	"berth.dev/berth/internal/apiserver/registry/pod"
	"berth.dev/berth/internal/apiserver/registry/proxy"
	"berth.dev/berth/internal/apiserver/registry/service"
)

// pods adds what is special about pods, and the ways through the API server
// to what runs in the cluster.
func (g *groups) pods(core endpoints) error {
	m := g.mains["pods"]
	if m == nil {
		return nil
	}
	binding := pod.NewBinding(m.Store)
	core["pods/binding"] = binding
	core["bindings"] = &pod.LegacyBinding{Binding: binding}
	core["pods/eviction"] = pod.NewEviction(m.Store, core["pods/status"].(rest.Updater), g.budgets())
	transport := proxy.Transport(g.server.config.Dial)
	core["pods/proxy"] = pod.NewProxy(m.Store, transport)
	if services, slices := g.mains["services"], g.mains["endpointslices.discovery.k8s.io"]; services != nil && slices != nil {
		core["services/proxy"] = service.NewProxy(service.Backends{Services: services, Slices: slices, Pods: m}, transport)
	}
	nodes := g.mains["nodes"]
	if nodes == nil {
		return nil
	}
	agents, err := g.nodeAgents(nodes)
	if err != nil {
		return err
	}
	g.agents = agents
	authorizer := g.server.parts.Authorizer
	core["pods/log"] = pod.NewLog(m.Store, agents)
	core["pods/exec"] = pod.NewExec(m.Store, agents, authorizer)
	core["pods/attach"] = pod.NewAttach(m.Store, agents, authorizer)
	core["pods/portforward"] = pod.NewPortForward(m.Store, agents, authorizer)
	core["nodes/proxy"] = pod.NewNodeProxy(agents, transport)
	return nil
}

// budgets is where evictions look for disruption budgets, if that kind is served.
func (g *groups) budgets() pod.Budgets {
	m := g.mains["poddisruptionbudgets.policy"]
	if m == nil {
		return pod.Budgets{}
	}
	return pod.Budgets{Lister: m, Getter: m, Status: registry.NewStatus(m.Kind(), m.Store)}
}

// nodeAgents connects to the agents of nodes.
func (g *groups) nodeAgents(nodes *registry.Main) (*pod.Nodes, error) {
	client := g.server.config.NodeClient
	agents, err := pod.NewNodes(func(ctx context.Context, name string) (*corev1.Node, error) {
		obj, err := nodes.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*corev1.Node), nil
	}, restclient.TLSClientConfig{CertFile: client.CertFile, KeyFile: client.KeyFile, CAFile: client.CAFile}, g.server.config.Dial)
	if err != nil {
		return nil, fmt.Errorf("apiserver: %w", err)
	}
	return agents, nil
}
