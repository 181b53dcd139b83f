package schedule

import corev1 "k8s.io/api/core/v1"

// Decide picks a node for the pod, or says why there is none.
func Decide(s State) Decision {
	if len(s.Nodes) == 0 {
		return Decision{Message: "no nodes available to schedule pods"}
	}
	if reason := claimsRefusal(s.Claims); reason != "" {
		return refuseAll(s, reason)
	}
	ask := newRequest(s)
	weigh := s.Weigh
	if weigh == nil {
		weigh = Weigh
	}
	var (
		refusals []Refusal
		fits     []candidate
	)
	for i := range s.Nodes {
		n := newRoom(&s.Nodes[i], weigh)
		if r, ok := ask.refusal(n); ok {
			refusals = append(refusals, r)
			continue
		}
		steps, reasons := ask.placeClaims(n.node)
		if len(reasons) > 0 {
			refusals = append(refusals, Refusal{Node: n.node.Name, Reasons: reasons, Final: true})
			continue
		}
		fits = append(fits, candidate{room: n, claims: steps})
	}
	if len(fits) == 0 {
		return Decision{Message: sentence(len(s.Nodes), "", refusals, s.Pod), Refusals: refusals}
	}
	best := ask.best(fits)
	return Decision{Node: best.room.node.Name, Claims: best.claims, Refusals: refusals}
}

// refuseAll is the answer when the pod itself is not ready for any node.
func refuseAll(s State, reason string) Decision {
	var refusals []Refusal
	for i := range s.Nodes {
		refusals = append(refusals, Refusal{Node: s.Nodes[i].Node.Name, Reasons: []string{reason}, Final: true})
	}
	return Decision{Message: sentence(len(s.Nodes), reason, refusals, s.Pod), Refusals: refusals}
}

// candidate is a node that passed every filter.
type candidate struct {
	room   *room
	claims []ClaimStep
}

// Active says that a pod still holds what it was given on its node.
func Active(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}
