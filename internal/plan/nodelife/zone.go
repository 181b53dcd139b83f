package nodelife

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Upstream's rates: how long after one node of a zone the pods of the next one
// are driven out, also in a large zone of which most is lost, and from which size
// a zone is large. Of a small one that is mostly lost nobody is driven out.
const (
	nextNode      = 10 * time.Second
	nextNodeWorse = 100 * time.Second
	largeZone     = 50
	mostlyLost    = 0.55
)

// pace says whether pods may be driven from a node because it is not ready.
type pace struct {
	// disrupted: no node at all is ready, so it is not the nodes that are lost.
	disrupted bool
	// held: most of the zone is lost at once, which moving pods would not help.
	held bool
	// wait is how long the zone has to wait for its next node.
	wait time.Duration
}

// pace is that of the node among all nodes; these are its conditions now.
func (s State) pace(conditions []corev1.NodeCondition) pace {
	ready, lost, anywhere := 0, 0, false
	count := func(n *corev1.Node, conditions []corev1.NodeCondition) {
		isReady := Ready(conditions) == corev1.ConditionTrue
		anywhere = anywhere || isReady
		switch {
		case ZoneOf(n) != ZoneOf(s.Node):
		case isReady:
			ready++
		default:
			lost++
		}
	}
	count(s.Node, conditions)
	for _, n := range s.Nodes {
		if n.Name != s.Node.Name {
			count(n, n.Status.Conditions)
		}
	}
	p := pace{disrupted: !anywhere}
	every := nextNode
	if ready > 0 && lost > 2 && float64(lost)/float64(lost+ready) >= mostlyLost {
		p.held = lost+ready <= largeZone
		every = nextNodeWorse
	}
	if !s.Drained.IsZero() {
		p.wait = max(s.Drained.Add(every).Sub(s.Now), 0)
	}
	return p
}

// ZoneOf is the node's region and zone.
func ZoneOf(node *corev1.Node) string {
	return node.Labels[corev1.LabelTopologyRegion] + "/" + node.Labels[corev1.LabelTopologyZone]
}
