package schedule

import (
	"cmp"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// offer is a node with the pods that would have to go for the pod to fit.
type offer struct {
	node     string
	victims  []*corev1.Pod // most important first
	breaking int           // how many of them against a budget
}

// How many nodes are looked at closely: a tenth, but no fewer than these.
const fewOffers = 100

// preempt completes a decision that found no node.
func (r *request) preempt(d *Decision, nominated string) {
	why := refusalsText(d.Refusals)
	end := func(text string) { d.Message = sentence(r.c.nodes, why, postFilter(text)) }
	if p := r.Pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		end(preemptionNever)
		return
	}
	if r.underWay(d, nominated) {
		d.Waits, d.Nominated = true, nominated
		end(preemptionUnderWay)
		return
	}
	var (
		offers []offer
		kind   int // offers that break no budget
		count  = map[string]int{}
		limits = budgetsOf(r.Budgets)
		enough = max(r.c.nodes/10, fewOffers)
	)
	for i := range d.Refusals {
		refusal := &d.Refusals[i]
		if refusal.Final {
			count[preemptionUseless]++
			continue
		}
		if len(offers) >= enough && kind > 0 {
			continue
		}
		o, reasons := r.victims(r.c.byName[refusal.Node], limits)
		if len(reasons) > 0 {
			for _, reason := range reasons {
				count[reason]++
			}
			continue
		}
		if o.breaking == 0 {
			kind++
		}
		offers = append(offers, o)
	}
	if len(offers) == 0 {
		end(preemption(r.c.nodes, histogram(count), r.Pod))
		return
	}
	best := slices.MinFunc(offers, compareOffers)
	d.Victims, d.Nominated = best.victims, best.node
	d.Message = sentence(r.c.nodes, why, "")
}

// underWay says that victims of an earlier decision are still ending on the
// node that the pod waits for, and it may still come to fit there.
func (r *request) underWay(d *Decision, nominated string) bool {
	n := r.c.byName[nominated]
	if n == nil || slices.ContainsFunc(d.Refusals, func(f Refusal) bool { return f.Node == nominated && f.Final }) {
		return false
	}
	return slices.ContainsFunc(n.pods, func(p *placed) bool { return Priority(p.pod) < r.priority && preempted(p.pod) })
}

// preempted says that a pod ends because it was a victim.
func preempted(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp == nil {
		return false
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget {
			return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

// victims are the pods that have to leave a node, as few and as unimportant as
// possible, budgets kept first; or why that does not help.
func (r *request) victims(n *room, limits []budget) (offer, []string) {
	var all []*placed
	for _, p := range n.pods {
		if Priority(p.pod) < r.priority {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return offer{}, []string{preemptionEmpty}
	}
	t := r.try(n)
	for _, p := range all {
		r.change(t, p, -1)
	}
	if _, refused := r.refusal(n, t); refused != nil {
		return offer{}, refused.Reasons
	}
	slices.SortFunc(all, func(a, b *placed) int { return moreImportant(a.pod, b.pod) })
	o := offer{node: n.name}
	breaking, others := breakingBudgets(all, limits)
	spare := func(list []*placed) (gone int) {
		for _, p := range list {
			r.change(t, p, 1)
			if _, refused := r.refusal(n, t); refused != nil {
				r.change(t, p, -1)
				o.victims = append(o.victims, p.pod)
				gone++
			}
		}
		return gone
	}
	o.breaking = spare(breaking)
	spare(others)
	if len(o.victims) == 0 {
		return offer{}, []string{preemptionEmpty}
	}
	slices.SortFunc(o.victims, moreImportant)
	return o, nil
}

// moreImportant orders pods by priority, then by how long they have run.
func moreImportant(a, b *corev1.Pod) int {
	if c := cmp.Compare(Priority(b), Priority(a)); c != 0 {
		return c
	}
	if c := cmp.Compare(started(a), started(b)); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// started is when a pod started; one that has not is taken to start now.
func started(pod *corev1.Pod) int64 {
	if pod.Status.StartTime == nil {
		return math.MaxInt64
	}
	return pod.Status.StartTime.UnixNano()
}

// compareOffers prefers, in this order: few broken budgets, an unimportant most
// important victim, a small sum of importance, few victims, a most important
// victim that has run for a short time, the first name.
func compareOffers(a, b offer) int {
	sum := func(o offer) (n int64) {
		for _, v := range o.victims {
			n += int64(Priority(v)) + math.MaxInt32 + 1
		}
		return n
	}
	earliest := func(o offer) int64 {
		first := started(o.victims[0])
		for _, v := range o.victims {
			if Priority(v) == Priority(o.victims[0]) {
				first = min(first, started(v))
			}
		}
		return first
	}
	return cmp.Or(
		cmp.Compare(a.breaking, b.breaking),
		cmp.Compare(Priority(a.victims[0]), Priority(b.victims[0])),
		cmp.Compare(sum(a), sum(b)),
		cmp.Compare(len(a.victims), len(b.victims)),
		cmp.Compare(earliest(b), earliest(a)),
		cmp.Compare(a.node, b.node),
	)
}

// budget is a disruption budget with what it still allows.
type budget struct {
	*policyv1.PodDisruptionBudget
	selector labels.Selector
}

func budgetsOf(all []*policyv1.PodDisruptionBudget) []budget {
	var out []budget
	for _, b := range all {
		if selector := selectorOf(b.Spec.Selector); !selector.Empty() {
			out = append(out, budget{b, selector})
		}
	}
	return out
}

// breakingBudgets parts the pods, taken in their order, by whether a budget
// would still allow each.
func breakingBudgets(pods []*placed, limits []budget) (breaking, others []*placed) {
	allowed := make([]int32, len(limits))
	for i := range limits {
		allowed[i] = limits[i].Status.DisruptionsAllowed
	}
	for _, p := range pods {
		breaks := false
		for i, b := range limits {
			if b.Namespace != p.pod.Namespace || len(p.pod.Labels) == 0 || !b.selector.Matches(labels.Set(p.pod.Labels)) {
				continue
			}
			if _, counted := b.Status.DisruptedPods[p.pod.Name]; counted {
				continue
			}
			allowed[i]--
			breaks = breaks || allowed[i] < 0
		}
		if breaks {
			breaking = append(breaking, p)
		} else {
			others = append(others, p)
		}
	}
	return breaking, others
}
