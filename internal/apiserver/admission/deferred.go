package admission

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"berth.dev/berth/internal/apiserver/presence"
)

// deferred stands in the chain for a plugin that has nothing to do until the
// first object of its kind exists. Only then is the plugin built and are its
// informers started; a request that arrives meanwhile waits for it.
type deferred struct {
	name       string
	operations []admission.Operation
	exists     *presence.Mark
	built      chan struct{} // closed once plugin and err are set
	plugin     admission.Interface
	err        error
}

// newDeferred has build called when resource gets its first object.
func newDeferred(o Options, name string, resource schema.GroupResource, operations []admission.Operation, build func(Options) (admission.Interface, error)) *deferred {
	d := &deferred{name: name, operations: operations, built: make(chan struct{})}
	d.exists = o.Presence.First(resource, func() {
		defer close(d.built)
		if d.plugin, d.err = build(o); d.err == nil {
			o.Informers.Start(o.Stopped)
		}
	})
	return d
}

// Handles implements admission.Interface.
func (d *deferred) Handles(op admission.Operation) bool { return slices.Contains(d.operations, op) }

// Admit implements admission.MutationInterface.
func (d *deferred) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, err := d.wait(ctx, a)
	if p, ok := plugin.(admission.MutationInterface); ok && p.Handles(a.GetOperation()) {
		return p.Admit(ctx, a, sameTypes{o})
	}
	return err
}

// Validate implements admission.ValidationInterface.
func (d *deferred) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, err := d.wait(ctx, a)
	if p, ok := plugin.(admission.ValidationInterface); ok && p.Handles(a.GetOperation()) {
		return p.Validate(ctx, a, sameTypes{o})
	}
	return err
}

// wait returns the plugin, or nil as long as there is nothing for it to do.
func (d *deferred) wait(ctx context.Context, a admission.Attributes) (admission.Interface, error) {
	if !d.exists.Raised() {
		return nil, nil
	}
	select {
	case <-d.built:
	case <-ctx.Done():
		return nil, admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request: %s: %w", d.name, ctx.Err()))
	}
	if d.err != nil {
		return nil, admission.NewForbidden(a, fmt.Errorf("%s: %w", d.name, d.err))
	}
	return d.plugin, nil
}
