package schedule

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/component-helpers/storage/volume"
)

const (
	reasonImmediate   = "pod has unbound immediate PersistentVolumeClaims"
	reasonNodeBound   = "node(s) didn't match PersistentVolume's node affinity"
	reasonNoVolume    = "node(s) didn't find available persistent volumes to bind"
	reasonNoSpace     = "node(s) did not have enough free storage"
	reasonVolumeGone  = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
	unknownClaim      = "persistentvolumeclaim %q not found"
	ephemeralAwaited  = "waiting for ephemeral volume controller to create the persistentvolumeclaim %q"
	deletedClaim      = "persistentvolumeclaim %q is being deleted"
	lostClaim         = "persistentvolumeclaim %q bound to non-existent persistentvolume %q"
	unprovisionable   = volume.NotSupportedProvisioner
	bindCompleted     = volume.AnnBindCompleted
	selectedNodeLabel = volume.AnnSelectedNode
)

// Bound says that a claim has its volume and both know it.
func Bound(claim *corev1.PersistentVolumeClaim) bool {
	_, done := claim.Annotations[bindCompleted]
	return claim.Spec.VolumeName != "" && done
}

// Waits says that the claim is bound only when a pod needs it.
func Waits(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) bool {
	return claim.Spec.VolumeName == "" && class != nil && class.VolumeBindingMode != nil &&
		*class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// claimsRefusal is why no node can take the pod, as far as claims go.
func claimsRefusal(claims []Claim) string {
	for _, c := range claims {
		switch {
		case c.Claim == nil && c.Ephemeral:
			return fmt.Sprintf(ephemeralAwaited, c.Name)
		case c.Claim == nil:
			return fmt.Sprintf(unknownClaim, c.Name)
		case c.Claim.Status.Phase == corev1.ClaimLost:
			return fmt.Sprintf(lostClaim, c.Name, c.Claim.Spec.VolumeName)
		case c.Claim.DeletionTimestamp != nil:
			return fmt.Sprintf(deletedClaim, c.Name)
		}
	}
	for _, c := range claims {
		if !Bound(c.Claim) && !Waits(c.Claim, c.Class) {
			return reasonImmediate
		}
	}
	return ""
}

// boundClaim is a claim that has its volume, and what that asks of a node.
type boundClaim struct {
	done  bool
	where *nodeaffinity.LazyErrorNodeSelector
}

// boundClaims are as many as there are claims.
func boundClaims(claims []Claim) []boundClaim {
	all := make([]boundClaim, len(claims))
	for i, c := range claims {
		if c.Claim == nil || !Bound(c.Claim) {
			continue
		}
		all[i].done = true
		if c.Volume != nil {
			all[i].where = whereOf(c.Volume)
		}
	}
	return all
}

// waitingClaim is one with the volumes that it may get.
type waitingClaim struct {
	Claim
	supply supply
}

func waitingClaims(a Ask) []waitingClaim {
	var waiting []waitingClaim
	for _, c := range a.Claims {
		if c.Claim != nil && !Bound(c.Claim) {
			waiting = append(waiting, waitingClaim{c, supplyFor(c.Claim, a.Volumes)})
		}
	}
	slices.SortStableFunc(waiting, func(a, b waitingClaim) int {
		x, y := a.Claim.Claim.Spec.Resources.Requests[corev1.ResourceStorage], b.Claim.Claim.Spec.Resources.Requests[corev1.ResourceStorage]
		return x.Cmp(y)
	})
	return waiting
}

// placeClaims finds a volume, or the right to make one, on the node for every
// claim that waits, and checks where the others already are.
func (r *request) placeClaims(node *corev1.Node) (steps []ClaimStep, reasons []string) {
	var gone, elsewhere bool
	for i, c := range r.Claims {
		switch {
		case !r.bound[i].done:
		case c.Volume == nil:
			gone = true
		case !reaches(r.bound[i].where, node):
			elsewhere = true
		}
	}
	missing := ""
	chosen := map[string]*corev1.PersistentVolume{}
	for i := range r.waiting {
		step, reason := r.settle(&r.waiting[i], node, chosen)
		if reason != "" {
			missing = reason
			break
		}
		steps = append(steps, step)
	}
	if elsewhere {
		reasons = append(reasons, reasonNodeBound)
	}
	if missing != "" {
		reasons = append(reasons, missing)
	}
	if gone {
		reasons = append(reasons, reasonVolumeGone)
	}
	return steps, reasons
}

// settle is how a claim gets its volume on a node, or why it cannot.
func (r *request) settle(c *waitingClaim, node *corev1.Node, chosen map[string]*corev1.PersistentVolume) (step ClaimStep, reason string) {
	selected, decided := c.Claim.Claim.Annotations[selectedNodeLabel]
	if decided {
		// A provisioner is at work there; a second node must not be told.
		if selected != node.Name {
			return step, reasonNoVolume
		}
		return ClaimStep{Claim: c.Claim.Claim}, ""
	}
	pv, err := volume.FindMatchingVolume(c.Claim.Claim, c.supply.at(node), nil, chosen, false, true)
	if err != nil {
		return step, reasonNoVolume
	}
	if pv != nil {
		chosen[pv.Name] = pv
		return ClaimStep{Claim: c.Claim.Claim, Volume: pv}, ""
	}
	if c.Class.Provisioner == "" || c.Class.Provisioner == unprovisionable || !allowed(c.Class, node) {
		return step, reasonNoVolume
	}
	if !r.enough(&c.Claim, node) {
		return step, reasonNoSpace
	}
	return ClaimStep{Claim: c.Claim.Claim}, ""
}

// allowed says that the class may make volumes for this node.
func allowed(class *storagev1.StorageClass, node *corev1.Node) bool {
	if len(class.AllowedTopologies) == 0 {
		return true
	}
	for _, term := range class.AllowedTopologies {
		if len(term.MatchLabelExpressions) == 0 {
			continue
		}
		if !slices.ContainsFunc(term.MatchLabelExpressions, func(e corev1.TopologySelectorLabelRequirement) bool {
			return !labels.Set(node.Labels).Has(e.Key) || !slices.Contains(e.Values, node.Labels[e.Key])
		}) {
			return true
		}
	}
	return false
}
