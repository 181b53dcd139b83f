package rbac

import (
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
)

// store makes the index from informers, again after each change when it is
// next asked for.
type store struct {
	defaults Objects
	settled  atomic.Bool

	clusterRoles        rbaclisters.ClusterRoleLister
	clusterRoleBindings rbaclisters.ClusterRoleBindingLister
	roles               rbaclisters.RoleLister
	roleBindings        rbaclisters.RoleBindingLister
	synced              []cache.InformerSynced

	// changes counts events; current is the index made at some count.
	changes atomic.Int64
	current atomic.Pointer[made]
	mu      sync.Mutex
}

type made struct {
	at     int64
	synced bool
	index  *index
}

// New reads roles and bindings from the informers of f, which the caller
// starts. Defaults are the compiled-in objects that count until Settle.
func New(f informers.SharedInformerFactory, defaults Objects) (*Authorizer, error) {
	v1 := f.Rbac().V1()
	s := &store{
		defaults:            defaults,
		clusterRoles:        v1.ClusterRoles().Lister(),
		clusterRoleBindings: v1.ClusterRoleBindings().Lister(),
		roles:               v1.Roles().Lister(),
		roleBindings:        v1.RoleBindings().Lister(),
	}
	changed := func(any) { s.changes.Add(1) }
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: changed, DeleteFunc: changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		v1.ClusterRoles().Informer(), v1.ClusterRoleBindings().Informer(), v1.Roles().Informer(), v1.RoleBindings().Informer(),
	} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, err
		}
		s.synced = append(s.synced, registration.HasSynced)
	}
	return &Authorizer{store: s}, nil
}

// HasSynced says that all stored roles and bindings are known.
func (a *Authorizer) HasSynced() bool { return a.store.hasSynced() }

// Settle says that the default roles and bindings are stored: from now on only
// what is stored counts.
func (a *Authorizer) Settle() {
	a.store.settled.Store(true)
	a.store.changes.Add(1)
}

func (s *store) hasSynced() bool {
	for _, synced := range s.synced {
		if !synced() {
			return false
		}
	}
	return true
}

func (s *store) index() *index {
	if m := s.current.Load(); m != nil && m.at == s.changes.Load() && (m.synced || !s.hasSynced()) {
		return m.index
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The count is read before the objects: a change meanwhile makes the index stale, not wrong.
	at, synced := s.changes.Load(), s.hasSynced()
	if m := s.current.Load(); m != nil && m.at == at && m.synced == synced {
		return m.index
	}
	m := &made{at: at, synced: synced, index: newIndex(s.objects(synced))}
	s.current.Store(m)
	return m.index
}

// objects are the stored ones and, while not settled, the compiled-in ones
// that are not stored.
func (s *store) objects(synced bool) Objects {
	all := labels.Everything()
	var o Objects
	// Listing from an informer's memory does not fail.
	o.ClusterRoles, _ = s.clusterRoles.List(all)
	o.ClusterRoleBindings, _ = s.clusterRoleBindings.List(all)
	o.Roles, _ = s.roles.List(all)
	o.RoleBindings, _ = s.roleBindings.List(all)
	if s.settled.Load() {
		return o
	}
	d := s.defaults
	if !synced {
		// What is stored may have been narrowed by an administrator, so until it
		// is known only the components' own rights are taken from the binary.
		d = d.componentsOnly()
	}
	return withDefaults(o, d)
}
