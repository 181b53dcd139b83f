package register

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/internal/plan/evict"
)

// Eviction holds the hard thresholds: below them the node is under pressure,
// and what they keep free is not allocatable.
type Eviction struct {
	MemoryAvailable resource.Quantity
	DiskAvailable   evict.Amount
	// InodesFree is a part of the whole, 0.1 is ten percent.
	InodesFree float64
	// PIDAvailable is the same for process ids; zero means not watched.
	PIDAvailable float64
}

// DefaultEviction has upstream's defaults, but for large disks: a tenth of one
// may be more than all that people run on it (docs/decisions/0027).
func DefaultEviction() *Eviction {
	return &Eviction{MemoryAvailable: resource.MustParse("100Mi"), DiskAvailable: evict.Amount{Share: 0.10, Count: 5 << 30}, InodesFree: 0.05}
}

// Thresholds are the hard thresholds one by one.
func (e *Eviction) Thresholds() []evict.Threshold {
	return []evict.Threshold{
		{Signal: evict.MemoryAvailable, Least: evict.Amount{Count: e.MemoryAvailable.Value()}},
		{Signal: evict.DiskAvailable, Least: e.DiskAvailable},
		{Signal: evict.InodesFree, Least: evict.Amount{Share: e.InodesFree}},
		{Signal: evict.PIDAvailable, Least: evict.Amount{Share: e.PIDAvailable}},
	}
}

// describe writes the node's status as it is now.
func (r *Registration) describe(node *corev1.Node) {
	usage := r.cfg.probe.usage()
	r.resources(node, usage)
	status := &node.Status
	status.Addresses = nil
	for _, ip := range r.cfg.Addresses {
		status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: r.cfg.Hostname})
	status.DaemonEndpoints.KubeletEndpoint.Port = r.cfg.Port
	status.NodeInfo = r.cfg.probe.host()
	status.NodeInfo.KubeletVersion = r.cfg.Version
	if r.cfg.VolumesInUse != nil {
		status.VolumesInUse = r.cfg.VolumesInUse()
	}
	runtime := r.cfg.Runtime()
	status.NodeInfo.ContainerRuntimeVersion = runtime.Version
	if runtime.Handlers != nil {
		status.RuntimeHandlers = runtime.Handlers
	}
	if runtime.Features != nil {
		status.Features = runtime.Features
	}
	if images := r.cfg.Images(); images != nil {
		status.Images = images
	}
	r.conditions(node)
}

// resources writes capacity and what of it pods may have.
func (r *Registration) resources(node *corev1.Node, usage usage) {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(usage.cpus, resource.DecimalSI),
		corev1.ResourceMemory:           quantity(usage.memory),
		corev1.ResourcePods:             *resource.NewQuantity(r.cfg.MaxPods, resource.DecimalSI),
		corev1.ResourceEphemeralStorage: quantity(usage.disk),
	}
	for size, bytes := range usage.hugePages {
		capacity[corev1.ResourceName(corev1.ResourceHugePagesPrefix+size)] = quantity(bytes)
	}
	allocatable := maps.Clone(capacity)
	keep := maps.Clone(r.cfg.Reserved)
	if keep == nil {
		keep = corev1.ResourceList{}
	}
	addTo(keep, corev1.ResourceMemory, r.cfg.Eviction.MemoryAvailable)
	addTo(keep, corev1.ResourceEphemeralStorage, quantity(r.cfg.Eviction.DiskAvailable.Of(usage.disk)))
	for size, bytes := range usage.hugePages {
		_ = size
		addTo(keep, corev1.ResourceMemory, quantity(bytes)) // huge pages are no ordinary memory any more
	}
	for name, q := range keep {
		have, ok := allocatable[name]
		if !ok {
			continue
		}
		have = have.DeepCopy()
		have.Sub(q)
		if have.Sign() < 0 {
			have = *resource.NewQuantity(0, have.Format)
		}
		if name == corev1.ResourceEphemeralStorage {
			have = *resource.NewQuantity(have.Value(), resource.DecimalSI)
		}
		allocatable[name] = have
	}
	// Other resources, a device's, belong to whoever put them there.
	if node.Status.Capacity == nil {
		node.Status.Capacity = corev1.ResourceList{}
	}
	if node.Status.Allocatable == nil {
		node.Status.Allocatable = corev1.ResourceList{}
	}
	maps.Copy(node.Status.Capacity, capacity)
	maps.Copy(node.Status.Allocatable, allocatable)
}

func addTo(list corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	sum := list[name].DeepCopy()
	sum.Add(q)
	list[name] = sum
}

// conditions writes the four conditions that a kubelet reports. What the node is
// under is for others to say.
func (r *Registration) conditions(node *corev1.Node) {
	now := metav1.NewTime(r.cfg.Clock.Now())
	under, known := r.cfg.Pressure()
	for _, say := range []struct {
		kind              corev1.NodeConditionType
		reasons, messages [2]string
	}{
		{
			corev1.NodeMemoryPressure,
			[2]string{"KubeletHasSufficientMemory", "KubeletHasInsufficientMemory"},
			[2]string{"kubelet has sufficient memory available", "kubelet has insufficient memory available"},
		},
		{
			corev1.NodeDiskPressure,
			[2]string{"KubeletHasNoDiskPressure", "KubeletHasDiskPressure"},
			[2]string{"kubelet has no disk pressure", "kubelet has disk pressure"},
		},
		{
			corev1.NodePIDPressure,
			[2]string{"KubeletHasSufficientPID", "KubeletHasInsufficientPID"},
			[2]string{"kubelet has sufficient PID available", "kubelet has insufficient PID available"},
		},
	} {
		condition := corev1.NodeCondition{Type: say.kind, Status: corev1.ConditionFalse, Reason: say.reasons[0], Message: say.messages[0]}
		if slices.Contains(under, say.kind) || !known && isTrue(node, say.kind) {
			condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, say.reasons[1], say.messages[1]
		}
		put(node, condition, now)
	}
	ready, reason, message := r.cfg.Ready()
	if reason == "" {
		reason = "KubeletNotReady"
	}
	condition := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	if ready {
		condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"
	}
	if r.cfg.Conditions != nil {
		for _, more := range r.cfg.Conditions() {
			put(node, more, now)
		}
	}
	put(node, condition, now)
}

func isTrue(node *corev1.Node, kind corev1.NodeConditionType) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind && c.Status == corev1.ConditionTrue })
}

func put(node *corev1.Node, c corev1.NodeCondition, now metav1.Time) {
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	for i, old := range node.Status.Conditions {
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		node.Status.Conditions[i] = c
		return
	}
	node.Status.Conditions = append(node.Status.Conditions, c)
}

// tell records an event for each condition that turned.
func (r *Registration) tell(old, node *corev1.Node) {
	before := map[corev1.NodeConditionType]corev1.ConditionStatus{}
	if old != nil {
		for _, c := range old.Status.Conditions {
			before[c.Type] = c.Status
		}
	}
	for _, c := range node.Status.Conditions {
		if before[c.Type] == c.Status {
			continue
		}
		var event string
		switch c.Type {
		case corev1.NodeReady:
			event = "NodeReady"
			if c.Status != corev1.ConditionTrue {
				event = "NodeNotReady"
			}
		case corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure:
			event = "NodeHas" + strings.TrimPrefix(c.Reason, "KubeletHas")
		default:
			continue
		}
		r.cfg.Event(corev1.EventTypeNormal, event, fmt.Sprintf("Node %s status is now: %s", node.Name, event))
	}
}
