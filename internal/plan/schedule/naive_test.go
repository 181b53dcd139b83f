package schedule

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// world is a cluster as plain lists, looked at pod by pod.
type world struct {
	nodes map[string]*corev1.Node
	pods  map[string]*corev1.Pod
}

func (w *world) on(node string) []*corev1.Pod {
	var all []*corev1.Pod
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		if p := w.pods[name]; p.Spec.NodeName == node {
			all = append(all, p)
		}
	}
	return all
}

func (w *world) state(p *corev1.Pod) State {
	s := State{Ask: Ask{Pod: p}}
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		s.Nodes = append(s.Nodes, Node{Node: w.nodes[name], Pods: w.on(name)})
	}
	return s
}

func selects(term *corev1.PodAffinityTerm, owner, p *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
	if err != nil {
		panic(err)
	}
	return (term.NamespaceSelector != nil || owner.Namespace == p.Namespace) && selector.Matches(labels.Set(p.Labels))
}

func required(p *corev1.Pod) (affinity, anti []corev1.PodAffinityTerm) {
	if p.Spec.Affinity == nil {
		return nil, nil
	}
	return p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

// together says that two nodes are in one domain.
func together(a, b *corev1.Node, key string) bool {
	x, ok := a.Labels[key]
	return ok && b.Labels[key] == x
}

// violates says what a pod on a node breaks, by definition; "" when nothing.
func (w *world) violates(p *corev1.Pod, n *corev1.Node) string {
	own := p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
	used := own
	for _, q := range w.on(n.Name) {
		used += q.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
	}
	if own > 0 && used > n.Status.Allocatable.Cpu().MilliValue() {
		return "room"
	}
	affinity, anti := required(p)
	for _, q := range w.pods {
		at := w.nodes[q.Spec.NodeName]
		if at == nil {
			continue
		}
		for _, t := range anti {
			if together(n, at, t.TopologyKey) && selects(&t, p, q) {
				return "its anti-affinity"
			}
		}
		_, theirs := required(q)
		for _, t := range theirs {
			if together(n, at, t.TopologyKey) && selects(&t, q, p) {
				return "their anti-affinity"
			}
		}
	}
	if reason := w.alone(p, n, affinity); reason != "" {
		return reason
	}
	for _, c := range p.Spec.TopologySpreadConstraints {
		if reason := w.skewed(p, n, c); reason != "" {
			return reason
		}
	}
	return ""
}

func (w *world) alone(p *corev1.Pod, n *corev1.Node, affinity []corev1.PodAffinityTerm) string {
	if len(affinity) == 0 {
		return ""
	}
	all := func(q *corev1.Pod) bool {
		return !slices.ContainsFunc(affinity, func(t corev1.PodAffinityTerm) bool { return !selects(&t, p, q) })
	}
	met, any := true, false
	for _, t := range affinity {
		if _, ok := n.Labels[t.TopologyKey]; !ok {
			return "its affinity: no such label"
		}
		near := false
		for _, q := range w.pods {
			if at := w.nodes[q.Spec.NodeName]; at != nil && all(q) {
				_, somewhere := at.Labels[t.TopologyKey]
				any = any || somewhere
				near = near || together(n, at, t.TopologyKey)
			}
		}
		met = met && near
	}
	if met || !any && all(p) {
		return ""
	}
	return "its affinity"
}

func (w *world) skewed(p *corev1.Pod, n *corev1.Node, c corev1.TopologySpreadConstraint) string {
	here, ok := n.Labels[c.TopologyKey]
	if !ok {
		return "spread: no such label"
	}
	selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
	if err != nil {
		panic(err)
	}
	count := map[string]int{}
	for _, other := range w.nodes {
		complete := !slices.ContainsFunc(p.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
			_, ok := other.Labels[c.TopologyKey]
			return !ok
		})
		if !complete {
			continue
		}
		domain := other.Labels[c.TopologyKey]
		count[domain] += 0
		for _, q := range w.on(other.Name) {
			if q.Namespace == p.Namespace && selector.Matches(labels.Set(q.Labels)) {
				count[domain]++
			}
		}
	}
	fewest := 1 << 20
	for _, n := range count {
		fewest = min(fewest, n)
	}
	if len(count) < int(ptr.Deref(c.MinDomains, 1)) {
		fewest = 0
	}
	own := 0
	if selector.Matches(labels.Set(p.Labels)) {
		own = 1
	}
	if count[here]+own-fewest > int(c.MaxSkew) {
		return "spread"
	}
	return ""
}

func drawTerm(t *rapid.T) corev1.PodAffinityTerm {
	term := near(rapid.SampledFrom([]string{"zone", corev1.LabelHostname, "rack"}).Draw(t, "topology"), "app", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "whom"))
	if rapid.IntRange(0, 3).Draw(t, "anywhere") == 0 {
		term.NamespaceSelector = &metav1.LabelSelector{}
	}
	return term
}

func drawPod(t *rapid.T, name string) *corev1.Pod {
	p := pod(name, fmt.Sprintf("%dm", 100*rapid.IntRange(0, 12).Draw(t, "cpu")),
		called("app", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "app")),
		in(rapid.SampledFrom([]string{"default", "default", "other"}).Draw(t, "namespace")),
		priority(rapid.Int32Range(0, 2).Draw(t, "priority")))
	p.UID = types.UID(name)
	for range rapid.IntRange(0, 2).Draw(t, "terms") {
		rapid.SampledFrom([]func(corev1.PodAffinityTerm) func(*corev1.Pod){
			wants, avoids, avoids,
			func(x corev1.PodAffinityTerm) func(*corev1.Pod) { return likes(10, x) },
			func(x corev1.PodAffinityTerm) func(*corev1.Pod) { return dislikes(5, x) },
		}).Draw(t, "kind")(drawTerm(t))(p)
	}
	for range rapid.IntRange(0, 1).Draw(t, "constraints") {
		spreads(rapid.SampledFrom([]string{"zone", corev1.LabelHostname}).Draw(t, "over"), rapid.Int32Range(1, 2).Draw(t, "skew"), "app", p.Labels["app"],
			func(c *corev1.TopologySpreadConstraint) {
				if n := rapid.Int32Range(0, 3).Draw(t, "domains"); n > 0 {
					c.MinDomains = &n
				}
			})(p)
	}
	return p
}

func drawNode(t *rapid.T, name string) *corev1.Node {
	n := node(name, fmt.Sprintf("%dm", 500*rapid.IntRange(0, 8).Draw(t, "have"))).Node
	for values, key := range []string{2: "rack", 3: "zone"} {
		if key == "" {
			continue
		}
		if v := rapid.IntRange(0, values).Draw(t, key); v > 0 {
			n.Labels[key] = fmt.Sprint(v)
		}
	}
	return n
}

// TestNaive plays random changes: the cluster that follows them decides as one
// that is built anew, refuses just the nodes where a look at each pod finds
// something broken, and what it chooses breaks nothing, after preemption too.
func TestNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}}
		c := Empty()
		serial := 0
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				n := drawNode(t, fmt.Sprint("n", rapid.IntRange(0, 5).Draw(t, "node")))
				w.nodes[n.Name] = n
				c.SetNode(n)
			case 3:
				name := fmt.Sprint("n", rapid.IntRange(0, 5).Draw(t, "node"))
				for _, p := range w.on(name) {
					if rapid.Bool().Draw(t, "stays") {
						continue
					}
					delete(w.pods, p.Name)
					c.RemovePod(p)
				}
				delete(w.nodes, name)
				c.RemoveNode(name)
			case 4:
				if len(w.pods) > 0 {
					name := rapid.SampledFrom(slices.Sorted(maps.Keys(w.pods))).Draw(t, "gone")
					c.RemovePod(w.pods[name])
					delete(w.pods, name)
				}
			default:
				serial++
				decided(t, w, c, drawPod(t, fmt.Sprint("p", serial)))
			}
		}
		for _, p := range w.pods {
			c.RemovePod(p)
		}
		for name := range w.nodes {
			c.RemoveNode(name)
		}
		if len(c.byName)+len(c.holders.byKey)+len(c.pods)+c.nodes != 0 {
			t.Fatalf("left behind: %d rooms, %d terms, %d pods", len(c.byName), len(c.holders.byKey), len(c.pods))
		}
	})
}

func decided(t *rapid.T, w *world, c *Cluster, p *corev1.Pod) {
	got, anew := c.Decide(Ask{Pod: p}), Decide(w.state(p))
	if got.Node != anew.Node || got.Message != anew.Message || got.Nominated != anew.Nominated || !cmp.Equal(got.Victims, anew.Victims) {
		t.Fatalf("%s: %q %s; built anew: %q %s", p.Name, got.Node, got.Message, anew.Node, anew.Message)
	}
	refused := map[string][]string{}
	for _, r := range got.Refusals {
		refused[r.Node] = r.Reasons
	}
	for name, n := range w.nodes {
		broken := w.violates(p, n)
		if _, no := refused[name]; no != (broken != "") && (got.Node == "" || got.Node == name || no) {
			t.Fatalf("%s on %s breaks %q, refused for %q", p.Name, name, broken, refused[name])
		}
	}
	for _, v := range got.Victims {
		if Priority(v) >= Priority(p) {
			t.Fatalf("%s is a victim of %s", v.Name, p.Name)
		}
		delete(w.pods, v.Name)
		c.RemovePod(v)
	}
	if len(got.Victims) > 0 {
		if broken := w.violates(p, w.nodes[got.Nominated]); broken != "" {
			t.Fatalf("%s on %s without %d victims breaks %q", p.Name, got.Nominated, len(got.Victims), broken)
		}
		for _, v := range got.Victims { // none could have stayed
			w.pods[v.Name] = v
			if w.violates(p, w.nodes[got.Nominated]) == "" {
				t.Fatalf("%s went for nothing", v.Name)
			}
			delete(w.pods, v.Name)
		}
		got.Node = got.Nominated
	}
	if got.Node == "" {
		return
	}
	p.Spec.NodeName = got.Node
	w.pods[p.Name] = p
	c.SetPod(p)
}
