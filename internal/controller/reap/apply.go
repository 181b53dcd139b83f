package reap

import (
	"context"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	plan "berth.dev/berth/internal/plan/reap"
)

// deepest bounds how far one reconcile follows dependents of dependents; the
// rest is woken by the deletions themselves.
const deepest = 8

// collect observes, decides and applies for one object.
func (c *collector) collect(ctx context.Context, kind Kind, o client.Object, depth int) error {
	refs := o.GetOwnerReferences()
	if o.GetDeletionTimestamp() == nil && len(refs) == 0 {
		return nil
	}
	state := plan.State{Object: o, Owners: map[types.UID]plan.Owner{}}
	needsDependents := o.GetDeletionTimestamp() != nil
	if !needsDependents {
		for _, ref := range refs {
			standing, elsewhere, err := c.owner(ctx, o, ref)
			if err != nil {
				return wrap("ask for the owners of", kind, o, err)
			}
			if elsewhere {
				c.report(kind, o, ref)
			}
			state.Owners[ref.UID] = standing
			needsDependents = needsDependents || standing == plan.Waiting
		}
	}
	var dependents []related
	if needsDependents {
		var err error
		if dependents, err = c.kinds.dependents(ctx, c.env.Cache, o.GetUID()); err != nil {
			return wrap("find the dependents of", kind, o, err)
		}
		for _, d := range dependents {
			state.Dependents = append(state.Dependents, d)
		}
	}
	return c.apply(ctx, kind, o, plan.Decide(state), depth)
}

func (c *collector) apply(ctx context.Context, kind Kind, o client.Object, p plan.Plan, depth int) error {
	for _, d := range p.Orphan {
		dep := d.(related)
		err := c.patch(ctx, dep.kind, dep.Object, map[string]any{"ownerReferences": plan.Without(dep, o.GetUID())})
		if err := wrap("set free", dep.kind, dep, err); err != nil {
			return err
		}
	}
	if depth < deepest {
		for _, d := range p.Collect {
			dep := d.(related)
			if err := c.collect(ctx, dep.kind, dep.Object, depth+1); err != nil {
				return err
			}
		}
	}
	if p.Finalizer != "" {
		left := slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return f == p.Finalizer })
		if err := wrap("finish deleting", kind, o, c.patch(ctx, kind, o, map[string]any{"finalizers": left})); err != nil {
			return err
		}
	}
	version := o.GetResourceVersion()
	if p.SetOwners {
		changed, err := c.patched(ctx, kind, o, map[string]any{"ownerReferences": p.Owners})
		if err := wrap("update the owners of", kind, o, err); err != nil {
			return err
		}
		version = changed.GetResourceVersion()
	}
	if p.Delete != nil {
		uid := o.GetUID()
		err := c.env.Write.Delete(ctx, condemned(kind, o),
			client.Preconditions{UID: &uid, ResourceVersion: &version}, client.PropagationPolicy(*p.Delete))
		return wrap("delete", kind, o, err)
	}
	return nil
}

// condemned is what is asked to be deleted. The client reads the answer as an
// object of the kind, which it can only where it knows the kind's type.
func condemned(kind Kind, o client.Object) client.Object {
	out := bare(kind, o)
	if _, partial := out.(*metav1.PartialObjectMetadata); !partial {
		return out
	}
	shapeless := &unstructured.Unstructured{}
	shapeless.SetGroupVersionKind(kind.GVK)
	shapeless.SetNamespace(o.GetNamespace())
	shapeless.SetName(o.GetName())
	return shapeless
}

// bare is an object of the kind with only what a write needs.
func bare(kind Kind, o client.Object) client.Object {
	out := kind.New()
	out.SetNamespace(o.GetNamespace())
	out.SetName(o.GetName())
	out.SetUID(o.GetUID())
	out.SetResourceVersion(o.GetResourceVersion())
	return out
}

func (c *collector) patch(ctx context.Context, kind Kind, o client.Object, metadata map[string]any) error {
	_, err := c.patched(ctx, kind, o, metadata)
	return err
}

// patched writes metadata on exactly the version that was decided on.
func (c *collector) patched(ctx context.Context, kind Kind, o client.Object, metadata map[string]any) (client.Object, error) {
	metadata["uid"], metadata["resourceVersion"] = o.GetUID(), o.GetResourceVersion()
	if refs, ok := metadata["ownerReferences"].([]metav1.OwnerReference); ok && len(refs) == 0 {
		metadata["ownerReferences"] = nil
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, err
	}
	target := bare(kind, o)
	err = c.env.Write.Patch(ctx, target, client.RawPatch(types.MergePatchType, body))
	return target, err
}
