package schedule

import corev1 "k8s.io/api/core/v1"

// Decide picks a node for the pod, or says why there is none and who would have
// to go.
func (c *Cluster) Decide(a Ask) Decision {
	if c.nodes == 0 {
		return Decision{Message: "no nodes available to schedule pods", Failed: ^Filters(0)}
	}
	if reason := claimsRefusal(a.Claims); reason != "" {
		return c.refuseAll(&a, VolumeBinding|VolumeRestrictions|VolumeLimits|VolumeZone, reason)
	}
	r := c.request(a)
	if r.only != nil && len(r.only) == 0 {
		return c.refuseAll(&a, NodeAffinity, reasonConflicting)
	}
	r.count()
	nominated := c.nomination(a.Pod)
	if n := c.byName[nominated]; n != nil && n.node != nil {
		if steps, refused := r.refusal(n, nil); refused == nil {
			return Decision{Node: n.name, Claims: steps}
		}
	}
	var (
		d    Decision
		fits = make([]candidate, 0, c.nodes)
	)
	for _, n := range c.rooms {
		if n == nil || n.node == nil {
			continue
		}
		steps, refused := r.refusal(n, nil)
		if refused == nil {
			fits = append(fits, candidate{room: n, claims: steps})
			continue
		}
		d.Refusals = append(d.Refusals, *refused)
		d.Failed |= refused.Filter
	}
	if len(fits) > 0 {
		best := r.best(fits)
		return Decision{Node: best.room.name, Claims: best.claims, Refusals: d.Refusals}
	}
	r.preempt(&d, nominated)
	return d
}

// nomination is the node that a pod waits for, as it is noted here or, when the
// note is lost, in its status.
func (c *Cluster) nomination(pod *corev1.Pod) string {
	if p := c.nominated[podKey(pod, "")]; p != nil {
		return p.room.name
	}
	return pod.Status.NominatedNodeName
}

// refuseAll is the answer when the pod itself is not ready for any node.
func (c *Cluster) refuseAll(a *Ask, failed Filters, reason string) Decision {
	d := Decision{Failed: failed}
	for _, n := range c.rooms {
		if n != nil && n.node != nil {
			d.Refusals = append(d.Refusals, Refusal{Node: n.name, Filter: failed, Reasons: []string{reason}, Final: true})
		}
	}
	useless := histogram(map[string]int{preemptionUseless: c.nodes})
	d.Message = sentence(c.nodes, " "+reason+".", postFilter(preemption(c.nodes, useless, a.Pod)))
	return d
}
