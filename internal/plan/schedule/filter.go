package schedule

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Upstream's reasons, word for word.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonNodeName      = "node(s) didn't match the requested node name"
	reasonTaint         = "node(s) had untolerated taint(s)"
	reasonAffinity      = "node(s) didn't match Pod's node affinity/selector"
	reasonNotNamed      = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
	reasonConflicting   = "pod affinity terms conflict"
	reasonPorts         = "node(s) didn't have free ports for the requested pod ports"
	reasonTooManyPods   = "Too many pods"
	reasonInsufficient  = "Insufficient "
	reasonDisk          = "node(s) had no available disk"
	reasonAlone         = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
	reasonMaxVolumes    = "node(s) exceed max volume count"
	reasonZone          = "node(s) had no available volume zone"
	reasonSpread        = "node(s) didn't match pod topology spread constraints"
	reasonSpreadLabel   = reasonSpread + " (missing required label)"
	reasonPodAffinity   = "node(s) didn't match pod affinity rules"
	reasonAntiAffinity  = "node(s) didn't match pod anti-affinity rules"
	reasonAddresses     = "node(s) had no IPPool for the pod"
	reasonExistingAnti  = "node(s) didn't satisfy existing pods anti-affinity rules"
)

// check asks every filter in its order about a node; the first that fails
// speaks. With a trial the node is as that says.
func (r *request) check(n *room, t *trial) (steps []ClaimStep, refused *Refusal) {
	if t != nil {
		n = &t.room
	}
	refuse := func(f Filters, final bool, reasons ...string) ([]ClaimStep, *Refusal) {
		return nil, &Refusal{Node: n.name, Filter: f, Reasons: reasons, Final: final}
	}
	spec := &r.Pod.Spec
	if r.only != nil && !r.only[n.name] {
		return refuse(NodeAffinity, true, reasonNotNamed)
	}
	if n.node.Spec.Unschedulable && !toleratesUnschedulable(spec.Tolerations) {
		return refuse(Unschedulable, true, reasonUnschedulable)
	}
	if spec.NodeName != "" && spec.NodeName != n.name {
		return refuse(NodeName, true, reasonNodeName)
	}
	if len(n.node.Spec.Taints) > 0 && untolerated(spec.Tolerations, n.node.Spec.Taints) != nil {
		return refuse(TaintToleration, true, reasonTaint)
	}
	if r.selective {
		if ok, err := r.affinity.Match(n.node); err != nil || !ok {
			return refuse(NodeAffinity, true, reasonAffinity)
		}
	}
	if len(r.ports) > 0 && conflict(r.ports, n.ports) {
		return refuse(NodePorts, false, reasonPorts)
	}
	if reasons, never := r.lacking(n); len(reasons) > 0 {
		return refuse(Fit, never, reasons...)
	}
	if len(r.disks) > 0 && disksTaken(r.disks, n.pods) {
		return refuse(VolumeRestrictions, false, reasonDisk)
	}
	if r.alone > 0 && (t == nil || r.alone+t.alone > 0) {
		return refuse(VolumeRestrictions, false, reasonAlone)
	}
	if len(r.Claims) > 0 {
		if reason := r.overLimit(n); reason != "" {
			return refuse(VolumeLimits, false, reason)
		}
		placed, reasons := r.placeClaims(n.node)
		if len(reasons) > 0 {
			return refuse(VolumeBinding, true, reasons...)
		}
		if !r.reachable(n.node) {
			return refuse(VolumeZone, true, reasonZone)
		}
		steps = placed
	}
	if len(r.spread) > 0 {
		if reason, final := r.skewed(n, t); reason != "" {
			return refuse(TopologySpread, final, reason)
		}
	}
	if reason, final := r.between(n, t); reason != "" {
		return refuse(InterPodAffinity, final, reason)
	}
	if r.Addresses != nil && !r.Addresses(n.node) {
		return refuse(AddressPools, true, reasonAddresses)
	}
	return steps, nil
}

// refusal checks a node, also as it will be when the pods have come that wait
// for it and matter no less.
func (r *request) refusal(n *room, t *trial) ([]ClaimStep, *Refusal) {
	awaited := r.awaited(n)
	if len(awaited) > 0 {
		full := r.try(n)
		if t != nil {
			full = r.again(t)
		}
		for _, p := range awaited {
			r.change(full, p, 1)
		}
		if _, refused := r.check(n, full); refused != nil {
			return nil, refused
		}
	}
	return r.check(n, t)
}

// again is a copy of a trial.
func (r *request) again(t *trial) *trial {
	c := r.try(&t.room)
	copy(c.spread, t.spread)
	copy(c.pairs.existing, t.pairs.existing)
	copy(c.pairs.anti, t.pairs.anti)
	copy(c.pairs.affinity, t.pairs.affinity)
	c.pairs.near, c.alone = t.pairs.near, t.alone
	return c
}

func (r *request) awaited(n *room) []*placed {
	var all []*placed
	for _, p := range n.awaited {
		if Priority(p.pod) >= r.priority && p.pod.UID != r.Pod.UID {
			all = append(all, p)
		}
	}
	return all
}

// lacking names every resource the node is short of; never says that the node
// is too small even when empty.
func (r *request) lacking(n *room) (reasons []string, never bool) {
	if int64(len(n.pods))+1 > n.have.pods {
		reasons = append(reasons, reasonTooManyPods)
	}
	short := func(name corev1.ResourceName, want, have, used int64) {
		if want > 0 && want > have-used {
			reasons = append(reasons, reasonInsufficient+string(name))
			never = never || want > have
		}
	}
	short(corev1.ResourceCPU, r.want.cpu, n.have.cpu, n.used.cpu)
	short(corev1.ResourceMemory, r.want.mem, n.have.mem, n.used.mem)
	short(corev1.ResourceEphemeralStorage, r.want.disk, n.have.disk, n.used.disk)
	if len(r.want.other) > 0 {
		for _, name := range slices.Sorted(maps.Keys(r.want.other)) {
			short(name, r.want.other[name], n.have.other[name], n.used.other[name])
		}
	}
	return reasons, never
}
