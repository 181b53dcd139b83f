package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/component-helpers/storage/volume"
)

// supply are the volumes that a claim may get, by the hosts that they can be
// reached from: a node looks at its own alone.
type supply struct {
	anywhere []offered
	on       map[string][]offered
}

// offered is a volume with what else it asks of a node, if anything.
type offered struct {
	pv    *corev1.PersistentVolume
	where *nodeaffinity.LazyErrorNodeSelector
}

// supplyFor leaves out what the claim cannot get on any node. One that is
// reserved for it, and fits, is the only one.
func supplyFor(claim *corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume) supply {
	s := supply{on: map[string][]offered{}}
	class := volume.GetPersistentVolumeClaimClass(claim)
	for _, pv := range volumes {
		switch {
		case pv.DeletionTimestamp != nil:
		case pv.Spec.ClaimRef != nil:
			if own, err := volume.FindMatchingVolume(claim, []*corev1.PersistentVolume{pv}, nil, nil, true, true); err == nil && own != nil {
				s = supply{on: map[string][]offered{}}
				s.add(pv)
				return s
			}
		case pv.Status.Phase == corev1.VolumeAvailable && volume.GetPersistentVolumeClass(pv) == class && volume.CheckAccessModes(claim, pv):
			s.add(pv)
		}
	}
	return s
}

func (s *supply) add(pv *corev1.PersistentVolume) {
	hosts, confined, only := hostsOf(pv)
	c := offered{pv: pv}
	if !only {
		c.where = whereOf(pv)
	}
	if !confined {
		s.anywhere = append(s.anywhere, c)
	}
	for _, host := range hosts {
		s.on[host] = append(s.on[host], c)
	}
}

// at are those that a node can reach.
func (s *supply) at(node *corev1.Node) []*corev1.PersistentVolume {
	var all []*corev1.PersistentVolume
	for _, some := range [][]offered{s.on[node.Labels[corev1.LabelHostname]], s.anywhere} {
		for _, c := range some {
			if reaches(c.where, node) {
				all = append(all, c.pv)
			}
		}
	}
	return all
}

// whereOf is what a volume asks of a node; nil when that is nothing.
func whereOf(pv *corev1.PersistentVolume) *nodeaffinity.LazyErrorNodeSelector {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return nil
	}
	return nodeaffinity.NewLazyErrorNodeSelector(pv.Spec.NodeAffinity.Required)
}

// reaches says that a volume that asks this can be used on the node. Only labels
// count, as upstream has it.
func reaches(where *nodeaffinity.LazyErrorNodeSelector, node *corev1.Node) bool {
	if where == nil {
		return true
	}
	labelled := &corev1.Node{}
	labelled.Labels = node.Labels
	ok, err := where.Match(labelled)
	return ok && err == nil
}

// hostsOf are the only hosts that a volume can be reached from, if it is confined
// to some by name, and whether it asks for nothing else.
func hostsOf(pv *corev1.PersistentVolume) (hosts []string, confined, only bool) {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return nil, false, true
	}
	only = true
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		i := slices.IndexFunc(term.MatchExpressions, func(e corev1.NodeSelectorRequirement) bool {
			return e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn
		})
		if i < 0 {
			return nil, false, false
		}
		only = only && len(term.MatchExpressions)+len(term.MatchFields) == 1
		for _, host := range term.MatchExpressions[i].Values {
			if !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts, true, only
}
