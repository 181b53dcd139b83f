package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"

	"berth.dev/berth/internal/plan/schedule"
	plan "berth.dev/berth/internal/plan/volume"
)

// unplaced says why a pod has no node: the scheduler's own decision, made again.
func (f *Facts) unplaced(pod *corev1.Pod) []Answer {
	since := pod.CreationTimestamp.Time
	said := ""
	if c := condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		said = c.Message
		if !c.LastTransitionTime.IsZero() {
			since = c.LastTransitionTime.Time
		}
	}
	a := Answer{Object: ref(pod), Since: at(since), Passes: Unknown, Next: f.command("describe pod %s", pod.Name)}
	if name := pod.Spec.SchedulerName; name != "" && name != corev1.DefaultSchedulerName && said == "" {
		a.Reason = Unschedulable
		a.Sentence = fmt.Sprintf("pod %s waits for scheduler %s, which has not said anything about it", pod.Name, name)
		return []Answer{a}
	}
	if answers := f.claimsOf(pod, since); len(answers) > 0 {
		return answers
	}
	if f.Nodes == nil {
		a.Reason = Unschedulable
		a.Sentence = fmt.Sprintf("pod %s cannot be placed: %s", pod.Name, brief(said))
		return []Answer{a}
	}
	if len(f.Nodes) == 0 {
		a.Reason, a.Passes = NoNodes, No
		a.Sentence = fmt.Sprintf("pod %s cannot be placed: there is no node", pod.Name)
		a.Next = "berth server   # or berth agent, on a machine that is to run pods"
		return []Answer{a}
	}
	state := f.placing(pod)
	decision := schedule.Decide(state)
	if decision.Node != "" {
		sentence := fmt.Sprintf("the scheduler has not placed it yet, node %s would take it", decision.Node)
		if len(decision.Claims) > 0 {
			sentence = fmt.Sprintf("its claims are being made ready on node %s", decision.Node)
		}
		return []Answer{f.comingUp(pod, sentence)}
	}
	return []Answer{f.refused(pod, state, decision, a)}
}

// placing is what the scheduler looks at.
func (f *Facts) placing(pod *corev1.Pod) schedule.State {
	s := schedule.State{Ask: schedule.Ask{Pod: pod, Volumes: f.Volumes, Claims: f.schedulingClaims(pod)}}
	for _, node := range f.Nodes {
		n := schedule.Node{Node: node}
		for _, other := range f.Assigned {
			if other.Spec.NodeName == node.Name && schedule.Active(other) {
				n.Pods = append(n.Pods, other)
			}
		}
		s.Nodes = append(s.Nodes, n)
	}
	return s
}

func claimNames(pod *corev1.Pod) []string {
	var names []string
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, pod.Name+"-"+v.Name)
		}
	}
	return names
}

func (f *Facts) schedulingClaims(pod *corev1.Pod) []schedule.Claim {
	var claims []schedule.Claim
	for _, name := range claimNames(pod) {
		c := schedule.Claim{Name: name}
		if claim, ok := named(f.Claims, name); ok {
			c.Claim = claim
			c.Volume, _ = named(f.Volumes, claim.Spec.VolumeName)
			c.Class, _ = named(f.Classes, volume.GetPersistentVolumeClaimClass(claim))
		}
		claims = append(claims, c)
	}
	return claims
}

// claimsOf says which claims keep a pod from every node.
func (f *Facts) claimsOf(pod *corev1.Pod, since time.Time) []Answer {
	for _, c := range f.schedulingClaims(pod) {
		if c.Claim == nil {
			a := Answer{
				Reason: ClaimMissing, Object: ref(pod), Since: at(since), Passes: No,
				Sentence: fmt.Sprintf("pod %s cannot be placed: claim %s does not exist", pod.Name, c.Name),
				Next:     f.command("get pvc"),
			}
			if f.workload(pod).kind == "statefulset" {
				a.Passes = Yes
				a.Sentence += "; its StatefulSet makes it again"
			}
			return []Answer{a}
		}
		// A claim that waits for its first consumer does not keep the pod, unless no
		// volume can be made for it.
		fine := schedule.Bound(c.Claim) || schedule.Waits(c.Claim, c.Class) && !f.unmade(c.Claim)
		if fine && c.Claim.DeletionTimestamp == nil && c.Claim.Status.Phase != corev1.ClaimLost {
			continue
		}
		causes := f.claim(c.Claim)
		if len(causes) == 0 {
			continue
		}
		return append(causes, Answer{
			Reason: ClaimNotReady, Object: ref(pod), Since: at(since), Follows: true,
			Sentence: fmt.Sprintf("pod %s cannot be placed before claim %s is bound", pod.Name, c.Name),
		})
	}
	return nil
}

// unmade tells whether it is said of a claim that its provisioner makes no volume.
func (f *Facts) unmade(c *corev1.PersistentVolumeClaim) bool {
	return (c.Annotations[volume.AnnSelectedNode] != "" || plan.BeginsAsCopy(c)) &&
		len(f.events("PersistentVolumeClaim", c.Name, c.UID, "ProvisioningFailed")) > 0
}

// refused sums a decision up: a reason for each node, and one for all.
func (f *Facts) refused(pod *corev1.Pod, state schedule.State, decision schedule.Decision, a Answer) Answer {
	kinds := map[Reason]bool{}
	var holder *schedule.Node // the node that has the pod's volumes
	held := ""
	for _, r := range decision.Refusals {
		i := slices.IndexFunc(state.Nodes, func(n schedule.Node) bool { return n.Node.Name == r.Node })
		var words []string
		for _, reason := range r.Reasons {
			kind, text := explain(pod, &state.Nodes[i], reason)
			kinds[kind] = true
			words = append(words, text)
		}
		a.Details = append(a.Details, r.Node+": "+strings.Join(words, ", "))
		if has(state, &state.Nodes[i]) {
			holder, held = &state.Nodes[i], strings.Join(words, ", ")
		}
	}
	a.Reason, a.Passes = Unschedulable, Unknown
	if holder != nil && len(kinds) > 1 && kinds[VolumeElsewhere] {
		a.Reason = VolumeElsewhere
		a.Sentence = fmt.Sprintf("pod %s fits on none of %s: its volume is on node %s, which cannot take it: %s", pod.Name, count(len(state.Nodes), "node"), holder.Node.Name, held)
		a.Next = f.global("describe node %s", holder.Node.Name)
		if kinds[NodesTainted] {
			a.Next = f.untaint([]schedule.Node{*holder})
		}
		return a
	}
	if len(kinds) == 1 {
		for kind := range kinds {
			a.Reason = kind
		}
	}
	a.Sentence = fmt.Sprintf("pod %s fits on none of %s", pod.Name, count(len(state.Nodes), "node"))
	if holder == nil && kinds[VolumeElsewhere] {
		a.Reason = VolumeElsewhere
	}
	switch a.Reason {
	case NoRoom:
		a.Sentence += ": they lack room"
		if len(pod.Spec.Containers) == 1 {
			a.Change = f.inContainer(pod, pod.Spec.Containers[0].Name, "resources.requests")
		}
		a.Next = f.askLess(pod, state)
	case NodesTainted:
		a.Passes = No
		a.Sentence += ": they are cordoned or tainted"
		a.Next = f.untaint(state.Nodes)
	case NoNodeMatches:
		a.Passes = No
		a.Sentence += ": none has the labels that it asks for"
		a.Change = f.inPod(pod, "affinity")
		if len(pod.Spec.NodeSelector) > 0 {
			a.Change = f.inPod(pod, "nodeSelector")
		}
		a.Next = f.label(pod, state.Nodes)
	case VolumeElsewhere:
		a.Sentence += ": its volume is elsewhere"
		a.Next = f.command("get pvc %s -o wide", strings.Join(claimNames(pod), " "))
		for _, c := range state.Claims {
			if c.Volume == nil || slices.ContainsFunc(state.Nodes, func(n schedule.Node) bool { return volume.CheckNodeAffinity(c.Volume, n.Node.Labels) == nil }) {
				continue
			}
			a.Sentence = fmt.Sprintf("pod %s fits on no node: its volume %s can be reached from none", pod.Name, c.Volume.Name)
			if at := hosts(c.Volume); len(at) > 0 {
				a.Sentence += ", only from " + list(at)
			}
			a.Next = f.global("get pv %s -o yaml", c.Volume.Name)
		}
	}
	return a
}

// hosts are the nodes that a volume names.
func hosts(pv *corev1.PersistentVolume) []string {
	if pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return nil
	}
	var names []string
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn {
				names = append(names, e.Values...)
			}
		}
	}
	return names
}

// has reports whether the pod's volumes can be reached from a node.
func has(state schedule.State, node *schedule.Node) bool {
	for _, c := range state.Claims {
		if c.Volume != nil && volume.CheckNodeAffinity(c.Volume, node.Node.Labels) != nil {
			return false
		}
	}
	return true
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
