package netpolicy

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// kind is all pods that policies cannot tell apart.
type kind struct {
	pod   *Pod // any of them
	key   string
	pods  map[string]*Pod
	local int
	sets  map[*set]uint16 // that have them, with which port
	has   profiles        // of those that are local
}

// set is one that some profile looks up.
type set struct {
	chosen
	name    string
	members map[Member]int // by how many pods
	kinds   map[*kind]struct{}
	users   int // profiles
}

func (s *set) all() map[Member]struct{} {
	out := make(map[Member]struct{}, len(s.members))
	for m := range s.members {
		out[m] = struct{}{}
	}
	return out
}

// profile is one that some kind has.
type profile struct {
	Profile
	users int // kinds
}

// here says that there is something to enforce for the pod on this node.
func (p *Pod) here() bool { return p.Local && len(p.Addresses) > 0 }

func (b *Book) kindOf(p *Pod) *kind {
	key := p.kind()
	k, known := b.kinds[key]
	if known {
		delete(b.former, k)
		return k
	}
	k = &kind{pod: p, key: key, pods: map[string]*Pod{}, sets: map[*set]uint16{}}
	b.kinds[key] = k
	put(b.kindsOf, p.Namespace, k)
	for _, of := range []string{p.Namespace, ""} {
		for s := range b.setsOf[of] {
			b.link(k, s)
		}
	}
	return k
}

// forget drops a kind of which there is no pod any more.
func (b *Book) forget(k *kind) {
	delete(b.kinds, k.key)
	take(b.kindsOf, k.pod.Namespace, k)
	for s := range k.sets {
		delete(s.kinds, k)
	}
}

// link has the pods of a kind in a set, or not in it any more.
func (b *Book) link(k *kind, s *set) {
	port, chosen := s.has(k.pod, b.spaces[k.pod.Namespace])
	if _, linked := k.sets[s]; linked == chosen {
		return // a kind's port never changes
	}
	do := b.join
	if chosen {
		k.sets[s] = port
		s.kinds[k] = struct{}{}
	} else {
		do, port = b.leave, k.sets[s]
		delete(k.sets, s)
		delete(s.kinds, k)
	}
	for _, p := range k.pods {
		for _, a := range p.Addresses {
			do(s, Member{a, port})
		}
	}
}

func (b *Book) join(s *set, m Member) {
	b.member(s, m)
	s.members[m]++
}

func (b *Book) leave(s *set, m Member) {
	b.member(s, m)
	if s.members[m]--; s.members[m] == 0 {
		delete(s.members, m)
	}
}

// decide finds a kind's profiles anew. What it had is let go of last, so that
// what stays is never dropped in between.
func (b *Book) decide(k *kind) {
	had := k.has
	k.has = profiles{}
	if k.local > 0 {
		policies := make([]compiled, 0, len(b.policiesOf[k.pod.Namespace]))
		for key := range b.policiesOf[k.pod.Namespace] {
			policies = append(policies, b.policies[key])
		}
		in, out, isolatedIn, isolatedOut := finder(b.find).termsFor(policies, k.pod)
		if isolatedIn {
			k.has.in = b.use(profileOf(false, in))
		}
		if isolatedOut {
			k.has.out = b.use(profileOf(true, out))
		}
	}
	b.unuse(had.in)
	b.unuse(had.out)
	if k.has == had {
		return
	}
	for _, p := range k.pods {
		for _, a := range p.Addresses {
			if p.here() {
				b.touched[a] = struct{}{}
			}
		}
	}
}

// find is a finder: a set that nobody had used is filled.
func (b *Book) find(namespace string, peer *networkingv1.NetworkPolicyPeer, p port) (string, bool) {
	name, c, ok := chosenBy(namespace, peer, p)
	if !ok || b.sets[name] != nil {
		return name, ok
	}
	s := &set{chosen: c, name: name, members: map[Member]int{}, kinds: map[*kind]struct{}{}}
	b.known(name, false)
	b.sets[name] = s
	put(b.setsOf, c.namespace, s)
	if c.namespace != "" {
		for k := range b.kindsOf[c.namespace] {
			b.link(k, s)
		}
		return name, true
	}
	for _, k := range b.kinds {
		b.link(k, s)
	}
	return name, true
}

// use takes part in a profile.
func (b *Book) use(name string, p Profile) string {
	has := b.profiles[name]
	if has == nil {
		has = &profile{Profile: p}
		b.profile(name, false)
		b.profiles[name] = has
		for s := range b.setsIn(p) {
			s.users++
		}
	}
	has.users++
	return name
}

// unuse ends that; what nobody uses is dropped.
func (b *Book) unuse(name string) {
	p := b.profiles[name]
	if p == nil {
		return
	}
	if p.users--; p.users > 0 {
		return
	}
	b.profile(name, true)
	delete(b.profiles, name)
	for s := range b.setsIn(p.Profile) {
		if s.users--; s.users > 0 {
			continue
		}
		b.dropped(s)
		delete(b.sets, s.name)
		take(b.setsOf, s.namespace, s)
		for k := range s.kinds {
			delete(k.sets, s)
		}
	}
}

func (b *Book) setsIn(p Profile) map[*set]struct{} {
	out := map[*set]struct{}{}
	for _, t := range p.Terms {
		if t.Set != "" {
			out[b.sets[t.Set]] = struct{}{}
		}
	}
	return out
}
