package schedule

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	spiderpoolv2beta1 "berth.dev/berth/spiderpool/v2beta1"
)

// Helps says that a change may make a pod fit that these filters refused. old
// is nil for an object that appears and changed is nil for one that goes.
func (c *Cluster) Helps(pod *corev1.Pod, failed Filters, old, changed any) bool {
	either := changed
	if either == nil {
		either = old
	}
	switch o := either.(type) {
	case *corev1.Node:
		return c.nodeHelps(pod, failed, as[corev1.Node](old), as[corev1.Node](changed))
	case *corev1.Pod:
		return c.podHelps(pod, failed, as[corev1.Pod](old), as[corev1.Pod](changed))
	case *corev1.Namespace:
		return failed&(InterPodAffinity|AddressPools) != 0
	case *spiderpoolv2beta1.SpiderIPPool:
		return failed&AddressPools != 0
	case *corev1.PersistentVolumeClaim:
		return changed != nil && o.Namespace == pod.Namespace && slices.Contains(ClaimNames(pod), o.Name) &&
			failed&(VolumeBinding|VolumeRestrictions|VolumeLimits|VolumeZone) != 0
	case *corev1.PersistentVolume:
		if ref := o.Spec.ClaimRef; ref != nil { // nobody else gets it
			return failed&(VolumeBinding|VolumeZone) != 0 && ref.Namespace == pod.Namespace && slices.Contains(ClaimNames(pod), ref.Name)
		}
		return changed != nil && failed&(VolumeBinding|VolumeZone) != 0
	case *storagev1.StorageClass:
		was := as[storagev1.StorageClass](old)
		return changed != nil && failed&(VolumeBinding|VolumeZone) != 0 &&
			(was == nil || !equality.Semantic.DeepEqual(was.AllowedTopologies, o.AllowedTopologies))
	case *storagev1.CSINode:
		return changed != nil && failed&(VolumeLimits|VolumeBinding) != 0
	case *storagev1.VolumeAttachment:
		return changed == nil && failed&VolumeLimits != 0
	case *storagev1.CSIDriver:
		return failed&(VolumeLimits|VolumeBinding) != 0
	case *storagev1.CSIStorageCapacity:
		return changed != nil && failed&VolumeBinding != 0
	}
	return true
}

func as[T any](o any) *T {
	if o == nil {
		return nil
	}
	return o.(*T)
}

func (c *Cluster) nodeHelps(pod *corev1.Pod, failed Filters, old, node *corev1.Node) bool {
	has := func(f Filters) bool { return failed&f != 0 }
	if node == nil {
		return has(TopologySpread) // its domain may have been the emptiest
	}
	relabelled := old == nil || !maps.Equal(old.Labels, node.Labels)
	retainted := old == nil || !equality.Semantic.DeepEqual(old.Spec.Taints, node.Spec.Taints)
	tolerations := pod.Spec.Tolerations
	switch {
	case has(Unschedulable) && !node.Spec.Unschedulable && (old == nil || old.Spec.Unschedulable),
		has(NodeName) && old == nil && pod.Spec.NodeName == node.Name,
		has(TaintToleration) && untolerated(tolerations, node.Spec.Taints) == nil && (old == nil || untolerated(tolerations, old.Spec.Taints) != nil),
		has(NodePorts|VolumeRestrictions|VolumeLimits) && old == nil,
		has(VolumeBinding|VolumeZone|AddressPools) && relabelled,
		has(Fit) && largeEnough(pod, old, node),
		has(TopologySpread) && (relabelled || retainted),
		has(InterPodAffinity) && relabelled:
		return true
	case has(NodeAffinity) && relabelled:
		required := nodeaffinity.GetRequiredNodeAffinity(pod)
		ok, err := required.Match(node)
		return err == nil && ok
	}
	return false
}

// largeEnough says that the pod fits into the node when that is empty, and that
// the node has more than before.
func largeEnough(pod *corev1.Pod, old, node *corev1.Node) bool {
	want, have := Weigh(pod).want, amountsOf(node.Status.Allocatable)
	if want.cpu > have.cpu || want.mem > have.mem || want.disk > have.disk || have.pods < 1 {
		return false
	}
	for name, n := range want.other {
		if n > have.other[name] {
			return false
		}
	}
	if old == nil {
		return true
	}
	was := amountsOf(old.Status.Allocatable)
	if have.pods > was.pods || want.cpu > 0 && have.cpu > was.cpu || want.mem > 0 && have.mem > was.mem || want.disk > 0 && have.disk > was.disk {
		return true
	}
	for name, n := range want.other {
		if n > 0 && have.other[name] > was.other[name] {
			return true
		}
	}
	return false
}

func (c *Cluster) podHelps(pod *corev1.Pod, failed Filters, old, other *corev1.Pod) bool {
	there := func(p *corev1.Pod) bool { return p != nil && Active(p) && p.Spec.NodeName != "" }
	switch was, is := there(old), there(other); {
	case was && !is:
		return c.leaves(pod, failed, old)
	case !was && is:
		return c.comes(pod, failed, other)
	case was && is:
		return c.changes(pod, failed, old, other)
	}
	return false
}

// leaves says that the end of another pod may help.
func (c *Cluster) leaves(pod *corev1.Pod, failed Filters, gone *corev1.Pod) bool {
	has := func(f Filters) bool { return failed&f != 0 }
	if has(Fit) || has(NodePorts) && conflict(hostPorts(pod), hostPorts(gone)) || has(VolumeLimits) && len(ClaimNames(gone)) > 0 {
		return true
	}
	if has(VolumeRestrictions) {
		for i := range pod.Spec.Volumes {
			if sharesDisk([]*corev1.Volume{&pod.Spec.Volumes[i]}, gone) {
				return true
			}
		}
		claims := ClaimNames(gone)
		if gone.Namespace == pod.Namespace && slices.ContainsFunc(ClaimNames(pod), func(n string) bool { return slices.Contains(claims, n) }) {
			return true
		}
	}
	if has(TopologySpread) && spreadsWith(pod, gone) {
		return true
	}
	if !has(InterPodAffinity) {
		return false
	}
	covers := func(all []term, other *corev1.Pod) bool {
		return slices.ContainsFunc(all, func(t term) bool { return t.covers(c, other) })
	}
	// Its affinity is to nobody but itself once the last such pod is gone.
	own := termsOf(pod)
	return covers(own.anti, gone) || covers(termsOf(gone).anti, pod) || coversAll(c, own.affinity, gone)
}

// comes says that another pod on a node may help.
func (c *Cluster) comes(pod *corev1.Pod, failed Filters, other *corev1.Pod) bool {
	return failed&TopologySpread != 0 && spreadsWith(pod, other) ||
		failed&InterPodAffinity != 0 && coversAll(c, termsOf(pod).affinity, other)
}

// changes says that a change of a pod on a node may help.
func (c *Cluster) changes(pod *corev1.Pod, failed Filters, old, other *corev1.Pod) bool {
	if failed&Fit != 0 {
		was, is := Weigh(old).want, Weigh(other).want
		if is.cpu < was.cpu || is.mem < was.mem || is.disk < was.disk {
			return true
		}
	}
	if failed&TopologySpread != 0 && old.DeletionTimestamp == nil && other.DeletionTimestamp != nil && spreadsWith(pod, other) {
		return true // pods that end do not count
	}
	if maps.Equal(old.Labels, other.Labels) {
		return false
	}
	return c.leaves(pod, failed&(TopologySpread|InterPodAffinity), old) || c.comes(pod, failed, other)
}

// spreadsWith says that a pod counts for the constraints of another.
func spreadsWith(pod, other *corev1.Pod) bool {
	if other.Namespace != pod.Namespace {
		return false
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		if c.WhenUnsatisfiable == corev1.DoNotSchedule && spreadSelector(pod, c).Matches(labels.Set(other.Labels)) {
			return true
		}
	}
	return false
}
