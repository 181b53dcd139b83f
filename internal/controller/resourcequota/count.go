package resourcequota

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	v1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/internal/api/quota"
	"berth.dev/berth/internal/controller/loop"
)

// Kind is a kind whose objects quotas can count. Those that are charged for
// more than their number must be whole objects, of others the metadata do.
type Kind struct {
	Resource schema.GroupResource
	New      func() client.Object
	NewList  func() client.ObjectList
}

// Foreign knows the kinds that are not in the shared cache, such as custom ones.
type Foreign interface {
	Kinds(ctx context.Context) ([]metav1.APIResource, error)
	List(ctx context.Context, kind metav1.APIResource, namespace string) ([]metav1.PartialObjectMetadata, error)
}

// countable are the verbs of resources whose objects come and go.
var countable = []string{"create", "list", "watch", "delete"}

type counter struct {
	env     loop.Env
	kinds   []Kind
	foreign Foreign
}

// seen is the outcome of a count.
type seen struct {
	used corev1.ResourceList
	// lapse is when the first pod is no longer charged, if that is known.
	lapse time.Time
	// err is why some names are missing.
	err error
}

// measure counts what read and the given evaluators of foreign kinds show.
func (c counter) measure(ctx context.Context, q *corev1.ResourceQuota, read client.Reader, foreign []foreignKind) seen {
	var out seen
	now := c.env.Clock.Now()
	list := func(r schema.GroupResource, namespace string) ([]runtime.Object, error) {
		objects, err := c.list(ctx, read, r, namespace)
		for _, o := range objects {
			if pod, ok := o.(*corev1.Pod); ok && quota.Charged(pod, now) {
				if end, ending := quota.Lapses(pod); ending && (out.lapse.IsZero() || end.Before(out.lapse)) {
					out.lapse = end
				}
			}
		}
		return objects, err
	}
	hard := v1.ResourceNames(q.Spec.Hard)
	registry := generic.NewRegistry(quota.Evaluators(list, c.env.Clock))
	for _, k := range c.kinds {
		if registry.Get(k.Resource) == nil && slices.Contains(hard, generic.ObjectCountQuotaResourceNameFor(k.Resource)) {
			registry.Add(quota.Counted(list, k.Resource))
		}
	}
	for _, f := range foreign {
		registry.Add(quota.Counted(f.list(ctx), f.resource()))
	}
	out.used, out.err = v1.CalculateUsage(q.Namespace, q.Spec.Scopes, q.Spec.Hard, registry, q.Spec.ScopeSelector)
	return out
}

func (c counter) list(ctx context.Context, read client.Reader, r schema.GroupResource, namespace string) ([]runtime.Object, error) {
	i := slices.IndexFunc(c.kinds, func(k Kind) bool { return k.Resource == r })
	if i < 0 {
		return nil, nil // not served
	}
	list := c.kinds[i].NewList()
	if err := read.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list %s: %w", r, err)
	}
	objects := make([]runtime.Object, 0, meta.LenList(list))
	err := meta.EachListItem(list, func(o runtime.Object) error {
		objects = append(objects, o)
		return nil
	})
	return objects, err
}

// custom is the resource that a name counts, if that has a group.
func custom(name corev1.ResourceName) (schema.GroupResource, bool) {
	const prefix = "count/"
	if len(name) <= len(prefix) || name[:len(prefix)] != prefix {
		return schema.GroupResource{}, false
	}
	r := schema.ParseGroupResource(string(name[len(prefix):]))
	return r, r.Group != ""
}

func hasAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}

// again is when to count again although nothing may wake the loop; 0 if not.
func (s seen) again(now time.Time) time.Duration {
	if s.lapse.IsZero() {
		return 0
	}
	return s.lapse.Sub(now) + time.Millisecond
}
