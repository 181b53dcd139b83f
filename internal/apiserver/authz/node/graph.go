package node

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Graph knows which node each pod is on and what the pod refers to, and which
// claim each volume serves, and on which node each volume is attached.
type Graph struct {
	mu   sync.RWMutex
	pods map[types.NamespacedName]placed
	// users counts, for what pods refer to, the pods on each node.
	users map[reference]map[string]int
	// claims is the claim of each volume; secrets the volumes of each secret.
	claims        map[string]reference
	volumeSecrets map[string][]reference
	secretVolumes map[reference]map[string]bool
	// attached is the node of each VolumeAttachment.
	attached map[string]string
	// moved is closed and replaced at each change.
	moved chan struct{}
}

type placed struct {
	uid  types.UID
	node string
	refs []reference
}

// NewGraph is empty.
func NewGraph() *Graph {
	return &Graph{
		pods:          map[types.NamespacedName]placed{},
		users:         map[reference]map[string]int{},
		claims:        map[string]reference{},
		volumeSecrets: map[string][]reference{},
		secretVolumes: map[reference]map[string]bool{},
		attached:      map[string]string{},
		moved:         make(chan struct{}),
	}
}

// SetPod takes in a pod as it is now. A pod without a node is none of any
// node's business, and mirror pods bring nothing but themselves: their node
// wrote them.
func (g *Graph) SetPod(pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		return
	}
	var refs []reference
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		refs = references(pod)
	}
	g.change(func() {
		key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
		g.dropPod(key)
		g.pods[key] = placed{pod.UID, pod.Spec.NodeName, refs}
		for _, r := range refs {
			if g.users[r] == nil {
				g.users[r] = map[string]int{}
			}
			g.users[r][pod.Spec.NodeName]++
		}
	})
}

// DeletePod forgets a pod.
func (g *Graph) DeletePod(namespace, name string) {
	g.change(func() { g.dropPod(types.NamespacedName{Namespace: namespace, Name: name}) })
}

func (g *Graph) dropPod(key types.NamespacedName) {
	was, ok := g.pods[key]
	if !ok {
		return
	}
	delete(g.pods, key)
	for _, r := range was.refs {
		if nodes := g.users[r]; nodes[was.node] > 1 {
			nodes[was.node]--
		} else if delete(nodes, was.node); len(nodes) == 0 {
			delete(g.users, r)
		}
	}
}

// SetVolume takes in a volume as it is now.
func (g *Graph) SetVolume(pv *corev1.PersistentVolume) {
	g.change(func() {
		g.dropVolume(pv.Name)
		ref := pv.Spec.ClaimRef
		if ref == nil {
			return
		}
		g.claims[pv.Name] = reference{claim, ref.Namespace, ref.Name}
		secrets := volumeSecrets(pv, ref.Namespace)
		if len(secrets) == 0 {
			return
		}
		g.volumeSecrets[pv.Name] = secrets
		for _, s := range secrets {
			if g.secretVolumes[s] == nil {
				g.secretVolumes[s] = map[string]bool{}
			}
			g.secretVolumes[s][pv.Name] = true
		}
	})
}

// DeleteVolume forgets a volume.
func (g *Graph) DeleteVolume(name string) {
	g.change(func() { g.dropVolume(name) })
}

func (g *Graph) dropVolume(name string) {
	delete(g.claims, name)
	for _, s := range g.volumeSecrets[name] {
		if delete(g.secretVolumes[s], name); len(g.secretVolumes[s]) == 0 {
			delete(g.secretVolumes, s)
		}
	}
	delete(g.volumeSecrets, name)
}

// SetAttachment takes in a VolumeAttachment; its node never changes.
func (g *Graph) SetAttachment(a *storagev1.VolumeAttachment) {
	g.change(func() { g.attached[a.Name] = a.Spec.NodeName })
}

// DeleteAttachment forgets a VolumeAttachment.
func (g *Graph) DeleteAttachment(name string) {
	g.change(func() { delete(g.attached, name) })
}

func (g *Graph) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.moved)
	g.moved = make(chan struct{})
}

// uses says whether a pod on node refers to r, itself or through its volumes.
func (g *Graph) uses(node string, r reference) bool {
	if g.users[r][node] > 0 {
		return true
	}
	if r.kind == secret {
		for volume := range g.secretVolumes[r] {
			if g.users[g.claims[volume]][node] > 0 {
				return true
			}
		}
	}
	return false
}

// look answers ask under the lock, and returns the channel that tells when
// asking again may bring another answer.
func (g *Graph) look(ask func(*Graph) bool) (bool, <-chan struct{}) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return ask(g), g.moved
}
