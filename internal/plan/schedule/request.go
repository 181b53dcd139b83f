package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// request is what the pod asks for, computed once for all nodes.
type request struct {
	Weight
	Ask
	c         *Cluster
	affinity  nodeaffinity.RequiredNodeAffinity
	selective bool            // affinity is not empty
	only      map[string]bool // the nodes it names by metadata.name; nil is any
	preferred *nodeaffinity.PreferredSchedulingTerms
	bound     []boundClaim      // of each claim
	waiting   []waitingClaim    // claims that wait for their first consumer, smallest first
	attach    map[string]string // the volumes that a driver has to attach, each with it
	zones     []zone            // where the pod's volumes can be reached
	alone     int               // pods that hold a claim of its for themselves
	disks     []*corev1.Volume
	terms     terms
	pairs     pairs
	spread    []*constraint // those that forbid nodes
	priority  int32
}

func (c *Cluster) request(a Ask) *request {
	r := &request{
		Weight:   Weigh(a.Pod),
		Ask:      a,
		c:        c,
		affinity: nodeaffinity.GetRequiredNodeAffinity(a.Pod),
		bound:    boundClaims(a.Claims),
		waiting:  waitingClaims(a),
		zones:    zonesOf(a.Claims),
		alone:    c.heldAlone(a),
		priority: Priority(a.Pod),
		terms:    termsOf(a.Pod),
	}
	if a.Storage != nil {
		r.attach = map[string]string{}
		for _, c := range a.Claims {
			attachable(r.attach, c.Claim, c.Volume, c.Class)
		}
	}
	r.selective = len(a.Pod.Spec.NodeSelector) > 0
	if f := a.Pod.Spec.Affinity; f != nil && f.NodeAffinity != nil {
		if required := f.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			r.selective = true
			r.only = namedNodes(required.NodeSelectorTerms)
		}
		terms := f.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
		if parsed, err := nodeaffinity.NewPreferredSchedulingTerms(terms); err == nil && len(terms) > 0 {
			r.preferred = parsed
		}
	}
	for i := range a.Pod.Spec.Volumes {
		if v := &a.Pod.Spec.Volumes[i]; exclusive(v) {
			r.disks = append(r.disks, v)
		}
	}
	return r
}

// count sums up what the filters between pods look at.
func (r *request) count() {
	r.pairs = r.pairSums()
	r.spread = r.constraints(corev1.DoNotSchedule)
	for _, c := range r.spread {
		r.sum(c)
	}
}

// Priority is how much a pod matters.
func Priority(pod *corev1.Pod) int32 { return schedulinghelper.PodPriority(pod) }

// namedNodes are the only nodes that a pod can run on, when each of its terms
// says them by name; nil when any may do.
func namedNodes(terms []corev1.NodeSelectorTerm) map[string]bool {
	all := map[string]bool{}
	for i := range terms {
		var names []string
		said := false
		for _, f := range terms[i].MatchFields {
			if f.Key != metav1.ObjectNameField || f.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if !said {
				names, said = f.Values, true
				continue
			}
			names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(f.Values, n) })
		}
		if !said {
			return nil
		}
		for _, n := range names {
			all[n] = true
		}
	}
	if len(terms) == 0 {
		return nil
	}
	return all
}

// heldAlone counts the placed pods that use a claim that one pod may use only.
func (c *Cluster) heldAlone(a Ask) int {
	held := 0
	for _, claim := range a.Claims {
		if claim.Claim != nil && !claim.Ephemeral && slices.Contains(claim.Claim.Spec.AccessModes, corev1.ReadWriteOncePod) &&
			c.claims[types.NamespacedName{Namespace: a.Pod.Namespace, Name: claim.Name}] > 0 {
			held++
		}
	}
	return held
}

// trial is one node with some pods taken away or added, as if.
type trial struct {
	room   room // a copy
	pairs  pairDeltas
	spread []int64 // per constraint, at the room's own value
	alone  int
}

func (r *request) try(n *room) *trial {
	t := &trial{room: *n, spread: make([]int64, len(r.spread)), pairs: newPairDeltas(&r.pairs)}
	t.room.pods = slices.Clone(n.pods)
	t.room.ports = slices.Clone(n.ports)
	if n.used.other != nil {
		t.room.used.other = make(map[corev1.ResourceName]int64, len(n.used.other))
		for name, used := range n.used.other {
			t.room.used.other[name] = used
		}
	}
	return t
}

// change adds a pod to the trial, or takes one away with a sign of -1.
func (r *request) change(t *trial, p *placed, sign int64) {
	t.room.weigh(&p.weight, sign)
	if sign > 0 {
		t.room.pods = append(t.room.pods, p)
	} else {
		t.room.pods = without(t.room.pods, p)
	}
	r.changePairs(t, p, sign)
	for i, c := range r.spread {
		if p.pod.Namespace == r.Pod.Namespace && r.eligible(c, &t.room) && c.matcher.matches(r.c, p.pod) {
			t.spread[i] += sign
		}
	}
	if r.alone > 0 {
		t.alone += int(sign) * r.holdsAlone(p)
	}
}

// holdsAlone counts the claims that the pod wants and another one has for itself.
func (r *request) holdsAlone(p *placed) int {
	n := 0
	for _, claim := range r.Claims {
		if claim.Claim != nil && !claim.Ephemeral && slices.Contains(claim.Claim.Spec.AccessModes, corev1.ReadWriteOncePod) &&
			slices.Contains(p.claims, types.NamespacedName{Namespace: r.Pod.Namespace, Name: claim.Name}) {
			n++
		}
	}
	return n
}
