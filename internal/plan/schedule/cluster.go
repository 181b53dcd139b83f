package schedule

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Cluster is what decisions look at. It is not safe for concurrent use.
type Cluster struct {
	rooms  []*room // by index, nil where one is free
	free   []int32
	byName map[string]*room
	nodes  int // rooms that have a node

	pods       map[string]*placed
	nominated  map[string]*placed // pods that wait for room, on the node they wait for
	namespaces map[string]labels.Set
	topologies map[string]*topology
	matchers   matchers
	holders    holders
	claims     map[types.NamespacedName]int // how many placed pods use a claim
	images     map[string]int               // on how many nodes an image is
}

// Empty is a cluster without nodes.
func Empty() *Cluster {
	return &Cluster{
		byName: map[string]*room{}, pods: map[string]*placed{}, nominated: map[string]*placed{},
		namespaces: map[string]labels.Set{}, topologies: map[string]*topology{},
		matchers: newMatchers(), holders: newHolders(),
		claims: map[types.NamespacedName]int{}, images: map[string]int{},
	}
}

// placed is a pod on its node, with what was counted of it.
type placed struct {
	pod    *corev1.Pod
	room   *room
	slot   int // in room.pods
	weight Weight
	holds  []*holder
	claims []types.NamespacedName
}

// podKey tells pods apart. Pods without a UID exist in tests and descriptions only.
func podKey(pod *corev1.Pod, node string) string {
	if pod.UID != "" {
		return string(pod.UID)
	}
	return pod.Namespace + "/" + pod.Name + "/" + node
}

// SetNode adds a node or changes it.
func (c *Cluster) SetNode(node *corev1.Node) {
	r := c.roomOf(node.Name)
	old := r.node
	if old == nil {
		c.nodes++
	}
	r.setNode(node)
	if old == nil || !maps.Equal(old.Labels, node.Labels) {
		c.relabel(r)
	}
	c.setImages(r, node)
}

// RemoveNode takes a node away; its pods stay until they are removed.
func (c *Cluster) RemoveNode(name string) {
	r := c.byName[name]
	if r == nil || r.node == nil {
		return
	}
	c.nodes--
	c.setImages(r, nil)
	r.node, r.have = nil, amounts{}
	c.relabel(r)
	c.release(r)
}

// SetNamespace notes the labels of a namespace.
func (c *Cluster) SetNamespace(ns *corev1.Namespace) {
	c.label(ns.Name, ns.Labels, true)
}

// RemoveNamespace forgets them.
func (c *Cluster) RemoveNamespace(name string) {
	c.label(name, nil, false)
}

func (c *Cluster) label(name string, set labels.Set, exists bool) {
	old, known := c.namespaces[name]
	if known == exists && maps.Equal(old, set) {
		return
	}
	if delete(c.namespaces, name); exists {
		c.namespaces[name] = set
	}
	c.matchers.dropSelecting()
}

// SetPod notes a pod on the node that it names. One without a node, or that has
// finished, takes nothing.
func (c *Cluster) SetPod(pod *corev1.Pod) {
	if pod.Spec.NodeName == "" || !Active(pod) {
		c.RemovePod(pod)
		return
	}
	c.place(podKey(pod, pod.Spec.NodeName), pod, pod.Spec.NodeName)
}

// RemovePod gives back what a pod took.
func (c *Cluster) RemovePod(pod *corev1.Pod) {
	c.remove(podKey(pod, pod.Spec.NodeName))
}

// Placed says on which node a pod is noted.
func (c *Cluster) Placed(pod *corev1.Pod) (node string, ok bool) {
	if p := c.pods[podKey(pod, pod.Spec.NodeName)]; p != nil {
		return p.room.name, true
	}
	return "", false
}

// Nominate notes that a pod waits for room on a node; with an empty name it no
// longer does. Pods that matter less leave that room alone.
func (c *Cluster) Nominate(pod *corev1.Pod, node string) {
	key := podKey(pod, "")
	if old := c.nominated[key]; old != nil {
		old.room.awaited = without(old.room.awaited, old)
		delete(c.nominated, key)
		c.release(old.room)
	}
	if node == "" {
		return
	}
	p := &placed{pod: pod, room: c.roomOf(node), weight: Weigh(pod)}
	p.holds = c.holders.of(pod)
	c.nominated[key] = p
	p.room.awaited = append(p.room.awaited, p)
}

// Nominated says which node a pod is noted to wait for, if any.
func (c *Cluster) Nominated(pod *corev1.Pod) string {
	if p := c.nominated[podKey(pod, "")]; p != nil {
		return p.room.name
	}
	return ""
}

// Nominees are the pods that wait for room on a node and matter less than a pod.
func (c *Cluster) Nominees(node string, below *corev1.Pod) []*corev1.Pod {
	var pods []*corev1.Pod
	if r := c.byName[node]; r != nil {
		for _, p := range r.awaited {
			if Priority(p.pod) < Priority(below) {
				pods = append(pods, p.pod)
			}
		}
	}
	return pods
}

func without(all []*placed, one *placed) []*placed {
	for i, p := range all {
		if p == one {
			return append(all[:i], all[i+1:]...)
		}
	}
	return all
}

func (c *Cluster) place(key string, pod *corev1.Pod, node string) {
	if old := c.pods[key]; old != nil {
		if old.room.name == node && old.same(pod) {
			old.pod = pod
			return
		}
		c.remove(key)
	}
	p := &placed{pod: pod, room: c.roomOf(node), weight: Weigh(pod)}
	c.pods[key] = p
	p.room.add(p)
	p.holds = c.holders.take(c, p)
	c.matchers.count(c, p, 1)
	for _, name := range ClaimNames(pod) {
		claim := types.NamespacedName{Namespace: pod.Namespace, Name: name}
		p.claims = append(p.claims, claim)
		c.claims[claim]++
	}
}

func (c *Cluster) remove(key string) {
	p := c.pods[key]
	if p == nil {
		return
	}
	delete(c.pods, key)
	p.room.drop(p)
	c.holders.give(p)
	c.matchers.count(c, p, -1)
	for _, claim := range p.claims {
		if c.claims[claim]--; c.claims[claim] == 0 {
			delete(c.claims, claim)
		}
	}
	c.release(p.room)
}

// same leaves out what is written most often: the status of a running pod.
func (p *placed) same(pod *corev1.Pod) bool {
	return (p.pod.DeletionTimestamp == nil) == (pod.DeletionTimestamp == nil) &&
		maps.Equal(p.pod.Labels, pod.Labels) && p.weight.same(Weigh(pod))
}

// roomOf is the room of that name, made when there is none.
func (c *Cluster) roomOf(name string) *room {
	if r := c.byName[name]; r != nil {
		return r
	}
	r := &room{name: name}
	if n := len(c.free); n > 0 {
		r.index, c.free = c.free[n-1], c.free[:n-1]
		c.rooms[r.index] = r
	} else {
		r.index = int32(len(c.rooms)) //nolint:gosec // no cluster has that many nodes
		c.rooms = append(c.rooms, r)
	}
	c.byName[name] = r
	return r
}

// release gives a room's index back once nothing is in it.
func (c *Cluster) release(r *room) {
	if r.node != nil || len(r.pods) > 0 || len(r.awaited) > 0 || c.byName[r.name] != r {
		return
	}
	delete(c.byName, r.name)
	c.rooms[r.index] = nil
	c.free = append(c.free, r.index)
}

func (c *Cluster) setImages(r *room, node *corev1.Node) {
	for name := range r.images {
		if c.images[name]--; c.images[name] == 0 {
			delete(c.images, name)
		}
	}
	r.images = nil
	if node == nil || len(node.Status.Images) == 0 {
		return
	}
	r.images = map[string]int64{}
	for i := range node.Status.Images {
		for _, name := range node.Status.Images[i].Names {
			r.images[name] = node.Status.Images[i].SizeBytes
		}
	}
	for name := range r.images {
		c.images[name]++
	}
}

// Active says that a pod still holds what it was given on its node.
func Active(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}
