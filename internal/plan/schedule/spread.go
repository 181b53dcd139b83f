package schedule

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// constraint is one topology spread constraint of the pod.
type constraint struct {
	by         *topology
	matcher    *matcher
	hostname   bool
	maxSkew    int64
	minDomains int
	selector   labels.Selector
	affinity   bool // only nodes that the pod's node affinity allows count
	taints     bool // only nodes whose taints the pod tolerates count
	itself     int64

	sums    []int64
	present []bool // values that some counting node has
	domains int
	lowest  [2]lowest // the two values with the fewest pods
}

type lowest struct {
	value int32
	count int64
}

// Pods without constraints of their own are spread by these, as far as it goes.
var defaultConstraints = []corev1.TopologySpreadConstraint{
	{TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 3},
	{TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 5},
}

// constraints are the pod's own of that kind, or the default ones.
func (r *request) constraints(action corev1.UnsatisfiableConstraintAction) []*constraint {
	own := r.Pod.Spec.TopologySpreadConstraints
	if len(own) == 0 {
		if r.Kin == nil || r.Kin.Empty() {
			return nil
		}
		own = defaultConstraints
	}
	var all []*constraint
	for i := range own {
		c := &own[i]
		if c.WhenUnsatisfiable != action {
			continue
		}
		selector := r.Kin
		if len(r.Pod.Spec.TopologySpreadConstraints) > 0 {
			selector = spreadSelector(r.Pod, c)
		}
		made := &constraint{
			by:       r.c.topology(c.TopologyKey),
			matcher:  r.c.matchers.of(r.c, true, newScope([]string{r.Pod.Namespace}, nil, selector)),
			hostname: c.TopologyKey == corev1.LabelHostname,
			maxSkew:  int64(c.MaxSkew), minDomains: 1, selector: selector, affinity: true,
		}
		if c.MinDomains != nil {
			made.minDomains = int(*c.MinDomains)
		}
		if c.NodeAffinityPolicy != nil {
			made.affinity = *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor
		}
		if c.NodeTaintsPolicy != nil {
			made.taints = *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
		}
		if selector.Matches(labels.Set(r.Pod.Labels)) {
			made.itself = 1
		}
		if selector.Empty() { // selects all, and upstream counts none then
			made.matcher = &matcher{scopes: []scope{{pods: labels.Nothing()}}}
		}
		all = append(all, made)
	}
	return all
}

func spreadSelector(pod *corev1.Pod, c *corev1.TopologySpreadConstraint) labels.Selector {
	selector := selectorOf(c.LabelSelector)
	if len(c.MatchLabelKeys) == 0 {
		return selector
	}
	same := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for _, key := range c.MatchLabelKeys {
		if value, ok := pod.Labels[key]; ok {
			same.MatchLabels[key] = value
		}
	}
	requirements, selectable := selector.Requirements()
	if !selectable || len(same.MatchLabels) == 0 {
		return selector
	}
	return selectorOf(same).Add(requirements...)
}

// eligible says that a node's pods count for a constraint.
func (r *request) eligible(c *constraint, n *room) bool {
	for _, other := range r.spread {
		if other.by.of(n) == noValue {
			return false
		}
	}
	return r.includes(c, n)
}

// includes asks the constraint's own policies.
func (r *request) includes(c *constraint, n *room) bool {
	if c.affinity && r.selective {
		if ok, err := r.affinity.Match(n.node); err != nil || !ok {
			return false
		}
	}
	return !c.taints || untolerated(r.Pod.Spec.Tolerations, n.node.Spec.Taints) == nil
}

// sum counts the pods of each domain, and finds the domains with the fewest.
func (r *request) sum(c *constraint) {
	c.sums, c.present = make([]int64, len(c.by.ids)), make([]bool, len(c.by.ids))
	for _, n := range r.c.rooms {
		if n == nil || n.node == nil || !r.eligible(c, n) {
			continue
		}
		value := c.by.of(n)
		c.sums[value] += int64(c.matcher.at(n))
		if !c.present[value] {
			c.present[value] = true
			c.domains++
		}
	}
	c.lowest = [2]lowest{{noValue, math.MaxInt32}, {noValue, math.MaxInt32}}
	for value, count := range c.sums {
		switch at := (lowest{int32(value), count}); { //nolint:gosec // no more than nodes
		case !c.present[value]:
		case count < c.lowest[0].count:
			c.lowest[0], c.lowest[1] = at, c.lowest[0]
		case count < c.lowest[1].count:
			c.lowest[1] = at
		}
	}
}

// skewed is the filter that keeps domains even; "" when the node passes.
func (r *request) skewed(n *room, t *trial) (reason string, final bool) {
	for i, c := range r.spread {
		value := c.by.of(n)
		if value == noValue {
			return reasonSpreadLabel, true
		}
		count, fewest := c.sums[value], c.lowest[0].count
		if t != nil && t.spread[i] != 0 {
			count += t.spread[i]
			fewest = count
			for _, l := range c.lowest {
				if l.value != value && l.count < fewest {
					fewest = l.count
				}
			}
		}
		if c.domains < c.minDomains {
			fewest = 0
		}
		if count+c.itself-fewest > c.maxSkew {
			return reasonSpread, false
		}
	}
	return "", false
}

// spreadScores are the raw scores of nodes by the constraints that only prefer:
// few are good. ok is false when there are none; ignored nodes lack a label.
func (r *request) spreadScores(fits []candidate) (scores []int64, ignored []bool, ok bool) {
	soft := r.constraints(corev1.ScheduleAnyway)
	if len(soft) == 0 {
		return nil, nil, false
	}
	strict := len(r.Pod.Spec.TopologySpreadConstraints) > 0 // default constraints take nodes as they are
	scores, ignored = make([]int64, len(fits)), make([]bool, len(fits))
	counted := 0
	for i := range fits {
		ignored[i] = strict && lacksAny(soft, fits[i].room)
		if !ignored[i] {
			counted++
		}
	}
	raw := make([]float64, len(fits))
	for _, c := range soft {
		c.sums, c.present = make([]int64, len(c.by.ids)+1), make([]bool, len(c.by.ids)+1)
		at := func(n *room) int32 { // nodes without the label are a domain of their own
			if value := c.by.of(n); value != noValue {
				return value
			}
			return int32(len(c.by.ids)) //nolint:gosec // no more than nodes
		}
		size := 0
		for i := range fits {
			if value := at(fits[i].room); !ignored[i] && !c.present[value] {
				c.present[value] = true
				size++
			}
		}
		if c.hostname {
			size = counted
		} else {
			for _, n := range r.c.rooms {
				if n == nil || n.node == nil || strict && lacksAny(soft, n) {
					continue
				}
				if c.present[at(n)] && r.includes(c, n) {
					c.sums[at(n)] += int64(c.matcher.at(n))
				}
			}
		}
		weight := math.Log(float64(size + 2))
		for i := range fits {
			n := fits[i].room
			if ignored[i] || c.by.of(n) == noValue {
				continue
			}
			count := c.sums[c.by.of(n)]
			if c.hostname {
				count = int64(c.matcher.at(n))
			}
			raw[i] += float64(count)*weight + float64(c.maxSkew-1)
		}
	}
	for i := range raw {
		scores[i] = int64(math.Round(raw[i]))
	}
	return scores, ignored, true
}

func lacksAny(all []*constraint, n *room) bool {
	for _, c := range all {
		if c.by.of(n) == noValue {
			return true
		}
	}
	return false
}
