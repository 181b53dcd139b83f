// Package reap is the garbage collector, around plan/reap: it deletes objects
// whose owners are gone, and finishes foreground and orphan deletions. It
// keeps no graph: dependents are found through an index by owner UID over the
// shared cache, owners are asked for by name and compared by UID. Custom kinds
// are followed as their definitions come and go.
package reap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
)

// Kind is a kind whose objects are collected.
type Kind struct {
	GVK        schema.GroupVersionKind
	Namespaced bool
	// New and NewList make what the shared cache holds for this kind: the
	// typed object where another loop watches it, else metadata only.
	New     func() client.Object
	NewList func() client.ObjectList
	// synced is nil for built-in kinds, which were in the cache before the loop began.
	synced func() bool
}

// User is the identity of the loop.
const User = "system:serviceaccount:kube-system:generic-garbage-collector"

const ownersIndex = "metadata.ownerReferences.uid"

// knownAbsent bounds the memory of UIDs that are gone; a UID never comes back.
const knownAbsent = 10_000

// Foreign knows what is served beyond the kinds that are declared.
type Foreign interface {
	// Owner asks for an owner of a kind that is not in the shared cache, such
	// as one of an aggregated API, and says whether the kind is namespaced. It
	// returns a NotFound status error only when the kind is served and the
	// object is gone, and a NoMatch error when the kind is not served.
	Owner(ctx context.Context, apiVersion, kind string, key types.NamespacedName) (metav1.Object, error)
	// Definition returns what a CustomResourceDefinition defines, nil when it
	// is not there or not served.
	Definition(ctx context.Context, name string) (*Custom, error)
}

// Custom is a custom kind.
type Custom struct {
	GVK        schema.GroupVersionKind
	Resource   string
	Namespaced bool
}

// recheck is how often an object with owners of foreign kinds, whose deletion
// no watch shows, is looked at again. Those are kinds of aggregated API servers
// only: custom kinds are followed (see follow). Following these too would mean
// to list and watch servers of others that may not be there, that may serve no
// watch, and that count what they are asked, for references that hardly anybody
// writes. So nothing is asked unless such a reference exists, and then once an
// owner for all its dependents.
const (
	recheck = 30 * time.Second
	trusted = recheck / 2
)

// Loop returns the garbage collector for these kinds. Without foreign, owners
// of other kinds count as existing.
func Loop(kinds []Kind, foreign Foreign) loop.Loop {
	set := &kindSet{kinds: make(map[schema.GroupKind]Kind, len(kinds))}
	for _, k := range kinds {
		set.put(k)
	}
	l := loop.Loop{
		Name:    "garbage-collector",
		User:    User,
		Workers: 4,
		New: func(env loop.Env) reconcile.Reconciler {
			return &collector{
				env: env, kinds: set, foreign: foreign,
				absent: map[ownerKey]bool{}, present: map[ownerKey]time.Time{}, customs: map[string]custom{},
			}
		},
	}
	for _, k := range kinds {
		onEvent := set.onEvent(k)
		if foreign != nil && k.GVK.GroupKind() == definitions {
			onEvent = onDefinition(onEvent)
		}
		l.Watches = append(l.Watches, loop.Watch{Kind: k.New(), Map: onEvent})
		l.Indexes = append(l.Indexes, loop.Index{Kind: k.New(), Field: ownersIndex, Keys: ownerUIDs})
	}
	return l
}

// kindSet are the kinds that are collected; custom ones come and go.
type kindSet struct {
	mu    sync.RWMutex
	kinds map[schema.GroupKind]Kind
}

func (s *kindSet) get(gk schema.GroupKind) (Kind, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.kinds[gk]
	return k, ok
}

func (s *kindSet) put(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[k.GVK.GroupKind()] = k
}

func (s *kindSet) remove(gk schema.GroupKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kinds, gk)
}

func (s *kindSet) all() []Kind {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.kinds))
}

type collector struct {
	env   loop.Env
	kinds *kindSet

	foreign Foreign

	mu      sync.Mutex
	absent  map[ownerKey]bool      // whether the UID lives in another namespace
	present map[ownerKey]time.Time // when a foreign owner was last found
	customs map[string]custom      // by the names of their definitions
	begun   bool                   // every definition of the start was followed
}

// Reconcile decides on one object.
func (c *collector) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if c.foreign != nil && c.env.Kinds != nil {
		if name, ok := strings.CutPrefix(req.Name, definitionPrefix); ok {
			return reconcile.Result{}, c.follow(ctx, name)
		}
		if err := c.followAll(ctx); err != nil {
			return reconcile.Result{}, err
		}
	}
	kind, key, ok := c.kinds.parse(req)
	if !ok {
		return reconcile.Result{}, nil
	}
	if !c.readable(kind) {
		return reconcile.Result{RequeueAfter: syncing}, nil
	}
	obj := kind.New()
	if err := c.env.Cache.Get(ctx, key, obj); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if obj.GetDeletionTimestamp() != nil && c.fresh() {
		return reconcile.Result{RequeueAfter: syncing}, nil // its dependents are not known yet
	}
	if err := c.collect(ctx, kind, obj, 0); err != nil {
		return reconcile.Result{}, err
	}
	if c.foreign != nil && c.kinds.anyForeign(obj) {
		return reconcile.Result{RequeueAfter: recheck}, nil
	}
	return reconcile.Result{}, nil
}

// anyForeign says that an owner of the object is of a kind that is not watched.
func (s *kindSet) anyForeign(o client.Object) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(ref metav1.OwnerReference) bool {
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		_, known := s.get(schema.GroupKind{Group: gv.Group, Kind: ref.Kind})
		return err == nil && !known
	})
}

// request carries the kind of the object in front of its name.
func request(kind Kind, o client.Object) reconcile.Request {
	gk := kind.GVK.GroupKind()
	return reconcile.Request{NamespacedName: types.NamespacedName{
		Namespace: o.GetNamespace(), Name: gk.Kind + "." + gk.Group + "/" + o.GetName(),
	}}
}

func (s *kindSet) parse(req reconcile.Request) (Kind, types.NamespacedName, bool) {
	prefix, name, ok := strings.Cut(req.Name, "/")
	if !ok {
		return Kind{}, types.NamespacedName{}, false
	}
	name1, group, _ := strings.Cut(prefix, ".")
	kind, ok := s.get(schema.GroupKind{Group: group, Kind: name1})
	return kind, types.NamespacedName{Namespace: req.Namespace, Name: name}, ok
}

func ownerUIDs(o client.Object) []string {
	refs := o.GetOwnerReferences()
	if len(refs) == 0 {
		return nil
	}
	out := make([]string, 0, len(refs))
	for _, ref := range refs {
		out = append(out, string(ref.UID))
	}
	return out
}

func wrap(doing string, kind Kind, o client.Object, err error) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("%s %s %s/%s: %w", doing, kind.GVK.Kind, o.GetNamespace(), o.GetName(), err)
}
