package schedule

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// matcher counts the placed pods that all of its scopes are about.
type matcher struct {
	tally
	key    string
	scopes []scope
	alive  bool // pods that are being deleted do not count
	used   uint64
}

func (m *matcher) matches(c *Cluster, pod *corev1.Pod) bool {
	if m.alive && pod.DeletionTimestamp != nil {
		return false
	}
	for i := range m.scopes {
		if !m.scopes[i].covers(c, pod) {
			return false
		}
	}
	return true
}

// matchers are those in use: asked for by decisions, not long ago.
type matchers struct {
	byKey map[string]*matcher
	in    map[string][]*matcher // those about one namespace
	any   []*matcher
	asked uint64
}

// maxMatchers bounds what is counted on each change. A matcher that is asked
// for after it was dropped is counted anew.
const maxMatchers = 1024

func newMatchers() matchers {
	return matchers{byKey: map[string]*matcher{}, in: map[string][]*matcher{}}
}

// of is the matcher of these scopes, counted when it is new.
func (m *matchers) of(c *Cluster, alive bool, scopes ...scope) *matcher {
	m.asked++
	key := scopes[0].key
	if len(scopes) > 1 || alive {
		keys := make([]string, 0, len(scopes))
		for i := range scopes {
			keys = append(keys, scopes[i].key)
		}
		key = strconv.FormatBool(alive) + strings.Join(keys, "\x02")
	}
	if known := m.byKey[key]; known != nil {
		known.used = m.asked
		return known
	}
	if len(m.byKey) >= maxMatchers {
		m.dropOld()
	}
	made := &matcher{key: key, scopes: scopes, alive: alive, used: m.asked}
	for _, p := range c.pods {
		if made.matches(c, p.pod) {
			made.add(p.room, 1)
		}
	}
	m.byKey[key] = made
	if ns, one := made.namespace(); one {
		m.in[ns] = append(m.in[ns], made)
	} else {
		m.any = append(m.any, made)
	}
	return made
}

// namespace is the only one whose pods can match.
func (m *matcher) namespace() (string, bool) {
	s := &m.scopes[0]
	if s.namespaces == nil && len(s.names) == 1 {
		return s.names[0], true
	}
	return "", false
}

// count follows a pod that comes or goes.
func (m *matchers) count(c *Cluster, p *placed, sign int32) {
	for _, list := range [2][]*matcher{m.in[p.pod.Namespace], m.any} {
		for _, one := range list {
			if one.matches(c, p.pod) {
				one.add(p.room, sign)
			}
		}
	}
}

// dropSelecting forgets what depends on the labels of namespaces.
func (m *matchers) dropSelecting() {
	m.drop(func(one *matcher) bool {
		return slices.ContainsFunc(one.scopes, func(s scope) bool { return s.namespaces != nil && !s.namespaces.Empty() })
	})
}

// dropOld forgets the half that was not asked for most recently.
func (m *matchers) dropOld() {
	var used []uint64
	for _, one := range m.byKey {
		used = append(used, one.used)
	}
	slices.Sort(used)
	middle := used[len(used)/2]
	m.drop(func(one *matcher) bool { return one.used < middle })
}

func (m *matchers) drop(old func(*matcher) bool) {
	for key, one := range m.byKey {
		if old(one) {
			delete(m.byKey, key)
		}
	}
	m.any = slices.DeleteFunc(m.any, old)
	for ns, list := range m.in {
		if list = slices.DeleteFunc(list, old); len(list) == 0 {
			delete(m.in, ns)
		} else {
			m.in[ns] = list
		}
	}
}

// holder counts the placed pods that have one and the same term.
type holder struct {
	tally
	key  string
	term term
	kind termKind
}

type termKind int

const (
	requiredAnti termKind = iota
	preference            // for or against, by the sign of the weight
)

// hardWeight is what a required affinity of a placed pod counts as a preference.
const hardWeight = 1

// holders are the terms of placed pods.
type holders struct {
	byKey map[string]*holder
	in    map[string][]*holder // those about one namespace
	any   []*holder
}

func newHolders() holders {
	return holders{byKey: map[string]*holder{}, in: map[string][]*holder{}}
}

// of are the classes of a pod's terms, without counting them.
func (h *holders) of(pod *corev1.Pod) []*holder {
	if pod.Spec.Affinity == nil {
		return nil
	}
	var all []*holder
	add := func(list []term, kind termKind, sign int64) {
		for _, t := range list {
			if kind == preference && t.weight == 0 {
				t.weight = hardWeight
			}
			t.weight *= sign
			key := strconv.Itoa(int(kind)) + strconv.FormatInt(t.weight, 10) + t.topology + "\x00" + t.key
			one := h.byKey[key]
			if one == nil {
				one = &holder{key: key, term: t, kind: kind}
			}
			all = append(all, one)
		}
	}
	t := termsOf(pod)
	add(t.anti, requiredAnti, 1)
	add(t.affinity, preference, 1)
	add(t.preferredAffinity, preference, 1)
	add(t.preferredAnti, preference, -1)
	return all
}

// take counts the terms of a pod that comes.
func (h *holders) take(_ *Cluster, p *placed) []*holder {
	all := h.of(p.pod)
	for i, one := range all {
		if known := h.byKey[one.key]; known != nil {
			all[i] = known // the same term twice in a pod
			one = known
		} else {
			h.insert(one)
		}
		one.add(p.room, 1)
	}
	return all
}

func (h *holders) insert(one *holder) {
	h.byKey[one.key] = one
	if ns, single := one.namespace(); single {
		h.in[ns] = append(h.in[ns], one)
	} else {
		h.any = append(h.any, one)
	}
}

func (one *holder) namespace() (string, bool) {
	if one.term.namespaces == nil && len(one.term.names) == 1 {
		return one.term.names[0], true
	}
	return "", false
}

// give follows a pod that goes.
func (h *holders) give(p *placed) {
	for _, one := range p.holds {
		one.add(p.room, -1)
		if one.total > 0 || h.byKey[one.key] != one {
			continue
		}
		delete(h.byKey, one.key)
		gone := func(other *holder) bool { return other == one }
		if ns, single := one.namespace(); single {
			if h.in[ns] = slices.DeleteFunc(h.in[ns], gone); len(h.in[ns]) == 0 {
				delete(h.in, ns)
			}
		} else {
			h.any = slices.DeleteFunc(h.any, gone)
		}
	}
}

// about are the terms of placed pods that are about this pod.
func (h *holders) about(c *Cluster, pod *corev1.Pod) []*holder {
	var all []*holder
	for _, list := range [2][]*holder{h.in[pod.Namespace], h.any} {
		for _, one := range list {
			if one.term.covers(c, pod) {
				all = append(all, one)
			}
		}
	}
	return all
}
