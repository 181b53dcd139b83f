package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/plan/volume"
)

var (
	volumeGVK     = corev1.SchemeGroupVersion.WithKind("PersistentVolume")
	attachmentGVK = storagev1.SchemeGroupVersion.WithKind("VolumeAttachment")
)

// array is a toy storage system with its attacher, and what nodes do with its
// volumes. Nodes keep to the protocol of decision 0039: one notes that it uses a
// volume, says so in its object, and mounts only when the same object lists the
// volume as attached.
type array struct {
	attached map[string]map[string]bool // nodes by volume handle: what is the case
	nodes    map[string]*mounts
	forced   map[types.UID]bool // attachments that were to go, and whether their node was lost then
}

// mounts are what a node has of drivers' volumes. It survives all but the machine.
type mounts struct {
	noted   map[types.UID]*corev1.PersistentVolume // by pod
	mounted map[types.UID]bool
}

func newArray(nodes []*node) *array {
	a := &array{attached: map[string]map[string]bool{}, nodes: map[string]*mounts{}, forced: map[types.UID]bool{}}
	for _, n := range nodes {
		a.nodes[n.name] = &mounts{map[types.UID]*corev1.PersistentVolume{}, map[types.UID]bool{}}
	}
	return a
}

// driven is the driver's volume that a pod uses, nil for none.
func (s *Sim) driven(pod *corev1.Pod) *corev1.PersistentVolume {
	for i := range pod.Spec.Volumes {
		source := pod.Spec.Volumes[i].PersistentVolumeClaim
		if source == nil {
			continue
		}
		claim, _ := s.store.kind(claimGVK).objects[types.NamespacedName{Namespace: pod.Namespace, Name: source.ClaimName}].(*corev1.PersistentVolumeClaim)
		if claim == nil || claim.Spec.VolumeName == "" {
			continue
		}
		if pv, _ := s.store.kind(volumeGVK).objects[types.NamespacedName{Name: claim.Spec.VolumeName}].(*corev1.PersistentVolume); pv != nil && pv.Spec.CSI != nil {
			return pv
		}
	}
	return nil
}

func nameOf(pv *corev1.PersistentVolume) corev1.UniqueVolumeName {
	return volume.CSIName(pv.Spec.CSI.Driver, pv.Spec.CSI.VolumeHandle)
}

// mount is what a pod's volume needs before the pod can start; ready says that it
// has what it needs, else there may be nothing to do but to wait.
func (s *Sim) mount(n *node, pod *corev1.Pod) (ready bool, do func()) {
	if s.array == nil {
		return true, nil
	}
	pv, has := s.driven(pod), s.array.nodes[n.name]
	switch {
	case pv == nil || has.mounted[pod.UID]:
		return true, nil
	case has.noted[pod.UID] == nil:
		return false, func() {
			s.log("%s: notes that %s uses %s", n.name, pod.Name, pv.Name)
			has.noted[pod.UID] = pv
		}
	}
	object, _ := s.store.kind(nodeGVK).objects[types.NamespacedName{Name: n.name}].(*corev1.Node)
	name := nameOf(pv)
	if object == nil || !slices.Contains(object.Status.VolumesInUse, name) ||
		!slices.ContainsFunc(object.Status.VolumesAttached, func(v corev1.AttachedVolume) bool { return v.Name == name }) {
		return false, nil
	}
	a, _ := s.store.kind(attachmentGVK).objects[types.NamespacedName{Name: volume.AttachmentName(pv.Spec.CSI.Driver, pv.Spec.CSI.VolumeHandle, n.name)}].(*storagev1.VolumeAttachment)
	if a == nil || !a.Status.Attached || a.DeletionTimestamp != nil {
		return false, nil
	}
	return false, func() {
		s.log("%s: mounts %s for %s", n.name, pv.Name, pod.Name)
		if !s.array.attached[pv.Spec.CSI.VolumeHandle][n.name] {
			s.ignore(s.fail(fmt.Errorf("volume %s is mounted on %s, and not attached there", pv.Name, n.name)))
		}
		has.mounted[pod.UID] = true
	}
}

// unmount takes the volume of a pod that runs no more from it, nil when there is none.
func (s *Sim) unmount(n *node, uid types.UID) func() {
	if s.array == nil || s.array.nodes[n.name].noted[uid] == nil {
		return nil
	}
	has := s.array.nodes[n.name]
	return func() {
		s.log("%s: unmounts %s", n.name, has.noted[uid].Name)
		delete(has.mounted, uid)
		delete(has.noted, uid)
	}
}

// noted are the pods that a node notes uses of, in a fixed order.
func (s *Sim) noted(n *node) []types.UID {
	if s.array == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.array.nodes[n.name].noted))
}

// Attached says where the toy storage system has volumes attached, and what nodes
// have of them, "" for nothing.
func (s *Sim) Attached() string {
	var all []string
	for _, handle := range slices.Sorted(maps.Keys(s.array.attached)) {
		for _, node := range slices.Sorted(maps.Keys(s.array.attached[handle])) {
			all = append(all, handle+" is attached to "+node)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(s.array.nodes)) {
		if n := len(s.array.nodes[node].noted); n > 0 {
			all = append(all, fmt.Sprintf("%s uses %d", node, n))
		}
	}
	return strings.Join(all, ", ")
}

// attachMoves are those of the attacher, of nodes that tell how they are, and of
// who watches over nodes.
func (s *Sim) attachMoves() []move {
	if s.array == nil {
		return nil
	}
	var all []move
	for _, obj := range sorted(s.store.kind(attachmentGVK).objects) {
		if do := s.attacherMove(obj.(*storagev1.VolumeAttachment)); do != nil {
			all = append(all, move{1, do})
		}
	}
	for _, n := range s.nodes {
		old, _ := s.store.kind(nodeGVK).objects[types.NamespacedName{Name: n.name}].(*corev1.Node)
		if old == nil {
			if !n.silent {
				all = append(all, move{1, func() { s.join(n) }})
			}
			continue
		}
		next := old.DeepCopy()
		if n.silent {
			condition(next, corev1.ConditionUnknown)
		} else {
			condition(next, corev1.ConditionTrue)
			next.Status.VolumesInUse = s.array.inUse(n.name)
		}
		if !sameField(old, next, "Status") || !sameField(old, next, "Spec") {
			all = append(all, move{1, func() {
				s.log("%s: is %s, uses %v", n.name, next.Status.Conditions[0].Status, next.Status.VolumesInUse)
				s.store.put(nodeGVK, old, next)
			}})
		}
	}
	return all
}

// join makes the object of a node, as its agent does.
func (s *Sim) join(n *node) {
	s.log("%s: registers", n.name)
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name, Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}}
	s.store.stamp(object)
	object.Status.VolumesInUse = s.array.inUse(n.name)
	condition(object, corev1.ConditionTrue)
	s.store.put(nodeGVK, nil, object)
}

// condition says how a node is, and taints one of which nothing is heard.
func condition(node *corev1.Node, ready corev1.ConditionStatus) {
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == corev1.TaintNodeUnreachable || ready == corev1.ConditionTrue && t.Key == corev1.TaintNodeOutOfService
	})
	if ready != corev1.ConditionTrue {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute})
	}
}

func (a *array) inUse(node string) []corev1.UniqueVolumeName {
	var names []corev1.UniqueVolumeName
	for _, pv := range a.nodes[node].noted {
		names = append(names, nameOf(pv))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// attacherMove attaches or detaches, as an external attacher does: in steps.
func (s *Sim) attacherMove(a *storagev1.VolumeAttachment) func() {
	pv, _ := s.store.kind(volumeGVK).objects[types.NamespacedName{Name: *a.Spec.Source.PersistentVolumeName}].(*corev1.PersistentVolume)
	if pv == nil {
		return nil
	}
	handle, on := pv.Spec.CSI.VolumeHandle, a.Spec.NodeName
	next := a.DeepCopy()
	switch {
	case a.DeletionTimestamp != nil:
		if _, seen := s.array.forced[a.UID]; !seen {
			s.array.forced[a.UID] = s.isLost(on)
		}
		return func() {
			s.log("attacher: %s is detached from %s", handle, on)
			if err := s.detachable(a, pv, on); err != nil {
				s.ignore(s.fail(err))
			}
			delete(s.array.attached[handle], on)
			s.store.remove(attachmentGVK, next)
		}
	case len(a.Finalizers) == 0:
		return func() {
			next.Finalizers = []string{"external-attacher/toy"}
			s.store.put(attachmentGVK, a, next)
		}
	case !a.Status.Attached:
		return func() {
			if s.faults != (Faults{}) && chance(s.rand, 0.3) {
				next.Status.AttachError = &storagev1.VolumeError{Message: "the array is busy"}
				s.store.put(attachmentGVK, a, next)
				return
			}
			s.log("attacher: %s is attached to %s", handle, on)
			if s.array.attached[handle] == nil {
				s.array.attached[handle] = map[string]bool{}
			}
			s.array.attached[handle][on] = true
			if nodes := slices.Sorted(maps.Keys(s.array.attached[handle])); len(nodes) > 1 && pv.Spec.AccessModes[0] == corev1.ReadWriteOnce {
				s.ignore(s.fail(fmt.Errorf("volume %s, which is for one node, is attached to %v", pv.Name, nodes)))
			}
			next.Status = storagev1.VolumeAttachmentStatus{Attached: true}
			s.store.put(attachmentGVK, a, next)
		}
	}
	return nil
}

// isLost says whether a node's object says that nothing is heard of it, or is gone.
func (s *Sim) isLost(node string) bool {
	object, _ := s.store.kind(nodeGVK).objects[types.NamespacedName{Name: node}].(*corev1.Node)
	return object == nil || object.Status.Conditions[0].Status != corev1.ConditionTrue
}

// detachable is an error when a volume must not be taken from a node: one that was
// heard of when that was decided has it mounted.
func (s *Sim) detachable(a *storagev1.VolumeAttachment, pv *corev1.PersistentVolume, on string) error {
	if s.array.forced[a.UID] {
		return nil
	}
	has := s.array.nodes[on]
	for uid := range has.mounted {
		if has.noted[uid].Name == pv.Name {
			return fmt.Errorf("volume %s is taken from %s, which is well and has it mounted", pv.Name, on)
		}
	}
	return nil
}
