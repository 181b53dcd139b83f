package netpolicy

import (
	"maps"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Update is what has changed in the cluster.
type Update struct {
	// Pods and Policies are by any name that stays theirs; nil is one that is gone.
	Pods     map[string]*Pod
	Policies map[string]*networkingv1.NetworkPolicy
	// Namespaces are by name; one without labels need not be known.
	Namespaces map[string]labels.Set
}

// Book knows the cluster and what is to be enforced for it. An update costs what
// it touches: a pod the sets of its kind, a policy the kinds of its namespace, a
// namespace the sets that choose by namespaces' labels.
type Book struct {
	pods     map[string]*entry
	kinds    map[string]*kind
	policies map[string]compiled
	spaces   map[string]labels.Set
	// What there is in one namespace; sets that choose by namespaces' labels are
	// in the one without a name.
	kindsOf    map[string]map[*kind]struct{}
	setsOf     map[string]map[*set]struct{}
	policiesOf map[string]map[string]struct{}

	sets     map[string]*set
	profiles map[string]*profile
	// holders are the local pods that have an address: for a moment it can be two.
	holders map[netip.Addr]map[string]struct{}
	in, out map[netip.Addr]string

	*journal
}

// entry is a pod with its kind.
type entry struct {
	*Pod
	kind *kind
}

// NewBook is that of an empty cluster.
func NewBook() *Book {
	return &Book{
		pods: map[string]*entry{}, kinds: map[string]*kind{}, policies: map[string]compiled{}, spaces: map[string]labels.Set{},
		kindsOf: map[string]map[*kind]struct{}{}, setsOf: map[string]map[*set]struct{}{}, policiesOf: map[string]map[string]struct{}{},
		sets: map[string]*set{}, profiles: map[string]*profile{}, holders: map[netip.Addr]map[string]struct{}{},
		in: map[netip.Addr]string{}, out: map[netip.Addr]string{},
	}
}

// Update returns what changes in what is to be enforced.
func (b *Book) Update(u Update) Change {
	b.journal = newJournal()
	for name, set := range u.Namespaces {
		b.label(name, set)
	}
	for key, p := range u.Pods {
		b.removePod(key)
		if p != nil {
			b.addPod(key, p)
		}
	}
	for key, p := range u.Policies {
		b.policy(key, p)
	}
	for k := range b.stale {
		b.decide(k)
	}
	for k := range b.former {
		b.forget(k)
	}
	for a := range b.touched {
		b.assign(a)
	}
	return b.change(b)
}

// State is all that is to be enforced.
func (b *Book) State() State {
	s := NewState()
	for name, p := range b.profiles {
		s.Profiles[name] = p.Profile
	}
	for name, set := range b.sets {
		s.Sets[name] = set.all()
	}
	maps.Copy(s.Ingress, b.in)
	maps.Copy(s.Egress, b.out)
	return s
}

// label gives a namespace its labels.
func (b *Book) label(name string, set labels.Set) {
	if len(set) == 0 {
		delete(b.spaces, name)
	} else {
		b.spaces[name] = set
	}
	for k := range b.kindsOf[name] {
		for s := range b.setsOf[""] {
			b.link(k, s)
		}
	}
}

func (b *Book) addPod(key string, p *Pod) {
	e := &entry{p, b.kindOf(p)}
	b.pods[key] = e
	e.kind.pods[key] = p
	for s, port := range e.kind.sets {
		for _, a := range p.Addresses {
			b.join(s, Member{a, port})
		}
	}
	if !p.here() {
		return
	}
	e.kind.local++
	if e.kind.local == 1 {
		b.stale[e.kind] = struct{}{}
	}
	for _, a := range p.Addresses {
		put(b.holders, a, key)
		b.touched[a] = struct{}{}
	}
}

func (b *Book) removePod(key string) {
	e, known := b.pods[key]
	if !known {
		return
	}
	delete(b.pods, key)
	delete(e.kind.pods, key)
	for s, port := range e.kind.sets {
		for _, a := range e.Addresses {
			b.leave(s, Member{a, port})
		}
	}
	if e.here() {
		e.kind.local--
		if e.kind.local == 0 {
			b.stale[e.kind] = struct{}{}
		}
		for _, a := range e.Addresses {
			take(b.holders, a, key)
			b.touched[a] = struct{}{}
		}
	}
	if len(e.kind.pods) == 0 {
		b.former[e.kind] = struct{}{}
	}
}

// policy puts a policy in the place of the one that had its key.
func (b *Book) policy(key string, p *networkingv1.NetworkPolicy) {
	if old, known := b.policies[key]; known {
		b.concerns(old)
		delete(b.policies, key)
		take(b.policiesOf, old.Namespace, key)
	}
	if p == nil {
		return
	}
	if c, ok := compile(p); ok {
		b.policies[key] = c
		put(b.policiesOf, c.Namespace, key)
		b.concerns(c)
	}
}

// concerns has the local pods that a policy selects decided anew.
func (b *Book) concerns(p compiled) {
	for k := range b.kindsOf[p.Namespace] {
		if k.local > 0 && p.selector.Matches(k.pod.Labels) {
			b.stale[k] = struct{}{}
		}
	}
}

// assign gives an address the profiles of the pod that holds it, or of the last
// by name of those that have any.
func (b *Book) assign(a netip.Addr) {
	var has profiles
	for _, key := range slices.Sorted(maps.Keys(b.holders[a])) {
		k := b.pods[key].kind
		if k.has.in != "" {
			has.in = k.has.in
		}
		if k.has.out != "" {
			has.out = k.has.out
		}
	}
	b.wasIn[a], b.wasOut[a] = b.in[a], b.out[a]
	for _, d := range []struct {
		of   map[netip.Addr]string
		name string
	}{{b.in, has.in}, {b.out, has.out}} {
		if d.name == "" {
			delete(d.of, a)
		} else {
			d.of[a] = d.name
		}
	}
}

// put and take keep groups of things that are never empty.
func put[G, T comparable](groups map[G]map[T]struct{}, group G, t T) {
	if groups[group] == nil {
		groups[group] = map[T]struct{}{}
	}
	groups[group][t] = struct{}{}
}

func take[G, T comparable](groups map[G]map[T]struct{}, group G, t T) {
	delete(groups[group], t)
	if len(groups[group]) == 0 {
		delete(groups, group)
	}
}
