package cni

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// grants are the endpoints of this node. It is the store of a reflector.
type grants struct {
	mu      sync.Mutex
	byPod   map[types.NamespacedName]*spiderpoolv2beta1.SpiderEndpoint
	changed chan struct{} // closed at the next change
	// fresh is told of a grant to a pod that had none, forgotten that it has none.
	fresh     func(*spiderpoolv2beta1.SpiderEndpoint)
	forgotten func(types.NamespacedName)
}

func newGrants() *grants {
	return &grants{byPod: map[types.NamespacedName]*spiderpoolv2beta1.SpiderEndpoint{}, changed: make(chan struct{})}
}

// follow returns a function that keeps g up to date until its context is done.
func (g *grants) follow(config *rest.Config, node string) (func(context.Context), error) {
	scheme := runtime.NewScheme()
	if err := spiderpoolv2beta1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &spiderpoolv2beta1.SchemeGroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for SpiderEndpoints: %w", err)
	}
	source := cache.NewListWatchFromClient(client, "spiderendpoints", "", fields.OneTermEqualSelector("status.current.node", node))
	r := cache.NewReflectorWithOptions(source, &spiderpoolv2beta1.SpiderEndpoint{}, g, cache.ReflectorOptions{Name: "cni"})
	return r.RunWithContext, nil
}

// of is the grant of a pod.
func (g *grants) of(p pod) (*spiderpoolv2beta1.SpiderEndpoint, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.byPod[p.NamespacedName]
	return e, granted(e, p)
}

// has reports whether a pod has a grant.
func (g *grants) has(uid types.UID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.byPod {
		if e.Status.Current.UID == string(uid) {
			return true
		}
	}
	return false
}

// granted reports whether e is for this pod and not for an earlier one of the
// same name. A runtime that does not tell the UID gets what there is.
func granted(e *spiderpoolv2beta1.SpiderEndpoint, p pod) bool {
	return e != nil && (p.uid == "" || e.Status.Current.UID == p.uid)
}

// wait returns the grant of a pod as soon as there is one.
func (g *grants) wait(ctx context.Context, p pod) (*spiderpoolv2beta1.SpiderEndpoint, error) {
	for {
		g.mu.Lock()
		e, changed := g.byPod[p.NamespacedName], g.changed
		g.mu.Unlock()
		if granted(e, p) {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("gave up waiting for the address of pod %s: %w", p, context.Cause(ctx))
			}
			if e != nil {
				return nil, fmt.Errorf("pod %s got no address in time: SpiderEndpoint %s still names the pod with UID %s; see `kubectl describe pod`", p, p, e.Status.Current.UID)
			}
			return nil, fmt.Errorf("pod %s got no address in time: there is no SpiderEndpoint %s for this node; see `kubectl describe pod` and `kubectl get spiderippools`", p, p)
		}
	}
}

// change applies f and wakes all who wait.
func (g *grants) change(f func()) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
	return nil
}

func nameOf(obj any) (types.NamespacedName, *spiderpoolv2beta1.SpiderEndpoint, error) {
	e, ok := obj.(*spiderpoolv2beta1.SpiderEndpoint)
	if !ok {
		return types.NamespacedName{}, nil, fmt.Errorf("a %T among the SpiderEndpoints", obj)
	}
	e.ManagedFields = nil
	return types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, e, nil
}

// Add is part of the reflector's store.
func (g *grants) Add(obj any) error {
	name, e, err := nameOf(obj)
	if err != nil {
		return err
	}
	if _, had := g.of(pod{name, e.Status.Current.UID}); !had && g.fresh != nil {
		g.fresh(e)
	}
	return g.change(func() { g.byPod[name] = e })
}

// Update is part of the reflector's store.
func (g *grants) Update(obj any) error { return g.Add(obj) }

// Delete is part of the reflector's store.
func (g *grants) Delete(obj any) error {
	name, _, err := nameOf(obj)
	if err != nil {
		return err
	}
	if g.forgotten != nil {
		g.forgotten(name)
	}
	return g.change(func() { delete(g.byPod, name) })
}

// Replace is part of the reflector's store.
func (g *grants) Replace(list []any, _ string) error {
	all := make(map[types.NamespacedName]*spiderpoolv2beta1.SpiderEndpoint, len(list))
	for _, obj := range list {
		name, e, err := nameOf(obj)
		if err != nil {
			return err
		}
		all[name] = e
	}
	return g.change(func() { g.byPod = all })
}

// Resync is part of the reflector's store.
func (g *grants) Resync() error { return nil }
