package schedule

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
)

// overLimit is why a node cannot attach the pod's volumes as well.
func (r *request) overLimit(n *room) string {
	if len(r.attach) == 0 {
		return ""
	}
	info := r.Storage.Limits(n.name)
	for _, driver := range r.attach {
		if r.missing(driver, info) {
			return driver + " CSI driver is not installed on the node"
		}
	}
	limits := map[string]int{}
	if info != nil {
		for _, d := range info.Spec.Drivers {
			if d.Allocatable != nil && d.Allocatable.Count != nil {
				limits[d.Name] = int(*d.Allocatable.Count)
			}
		}
	}
	if len(limits) == 0 {
		return ""
	}
	there := map[string]string{}
	for _, p := range n.pods {
		for _, claim := range p.claims {
			attachable3(there, r.Storage, claim.Namespace, claim.Name)
		}
	}
	for volume, driver := range r.Storage.Attached(n.name) {
		there[volume] = driver
	}
	wanted := maps.Clone(r.attach)
	count := map[string]int{}
	for volume, driver := range there {
		count[driver]++
		delete(wanted, volume)
	}
	fresh := map[string]int{}
	for _, driver := range wanted {
		fresh[driver]++
	}
	for driver, more := range fresh {
		if limit, limited := limits[driver]; limited && count[driver]+more > limit {
			return reasonMaxVolumes
		}
	}
	return ""
}

// missing says that a driver that insists on being there is not.
func (r *request) missing(driver string, info *storagev1.CSINode) bool {
	d := r.Storage.Driver(driver)
	if d == nil || d.Spec.PreventPodSchedulingIfMissing == nil || !*d.Spec.PreventPodSchedulingIfMissing {
		return false
	}
	if info != nil {
		for i := range info.Spec.Drivers {
			if info.Spec.Drivers[i].Name == driver {
				return false
			}
		}
	}
	return true
}

func attachable3(out map[string]string, s Storage, namespace, name string) {
	claim, volume, class := s.Claim(namespace, name)
	attachable(out, claim, volume, class)
}

// attachable notes the volume that a claim has or will have, when a driver attaches it.
func attachable(out map[string]string, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume, class *storagev1.StorageClass) {
	switch {
	case claim == nil:
	case volume != nil && volume.Spec.CSI != nil:
		out[volume.Spec.CSI.Driver+"/"+volume.Spec.CSI.VolumeHandle] = volume.Spec.CSI.Driver
	case volume == nil && class != nil && class.Provisioner != unprovisionable:
		out[class.Provisioner+"/claim-"+claim.Namespace+"/"+claim.Name] = class.Provisioner
	}
}

// enough says that a driver that counts its storage can make the claim's volume
// where the node reaches it.
func (r *request) enough(c *Claim, node *corev1.Node) bool {
	size, asked := c.Claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if r.Storage == nil || !asked {
		return true
	}
	d := r.Storage.Driver(c.Class.Provisioner)
	if d == nil || d.Spec.StorageCapacity == nil || !*d.Spec.StorageCapacity {
		return true
	}
	for _, capacity := range r.Storage.Capacities() {
		if capacity.StorageClassName != c.Class.Name || capacity.NodeTopology == nil {
			continue
		}
		limit := capacity.Capacity
		if capacity.MaximumVolumeSize != nil {
			limit = capacity.MaximumVolumeSize
		}
		reach, err := metav1.LabelSelectorAsSelector(capacity.NodeTopology)
		if err == nil && limit != nil && limit.Value() >= size.Value() && reach.Matches(labels.Set(node.Labels)) {
			return true
		}
	}
	return false
}

// zone is a place that a bound volume says it is in.
type zone struct {
	key    string
	values sets.Set[string]
}

// The labels that say where a node or a volume is, with what older ones mean now.
var zoneLabels = map[string]string{
	corev1.LabelFailureDomainBetaZone:   corev1.LabelTopologyZone,
	corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
	corev1.LabelTopologyZone:            corev1.LabelTopologyZone,
	corev1.LabelTopologyRegion:          corev1.LabelTopologyRegion,
}

func zonesOf(claims []Claim) []zone {
	var zones []zone
	for _, c := range claims {
		if c.Volume == nil || c.Ephemeral {
			continue
		}
		for key := range zoneLabels {
			if value, ok := c.Volume.Labels[key]; ok {
				zones = append(zones, zone{key, sets.New(strings.Split(value, "__")...)})
			}
		}
	}
	return zones
}

// reachable says that a node is where the pod's volumes are.
func (r *request) reachable(node *corev1.Node) bool {
	if len(r.zones) == 0 {
		return true
	}
	placed := false
	for key := range zoneLabels {
		_, ok := node.Labels[key]
		placed = placed || ok
	}
	if !placed { // a cluster of one zone
		return true
	}
	for _, z := range r.zones {
		value, ok := node.Labels[z.key]
		if !ok {
			value, ok = node.Labels[zoneLabels[z.key]]
		}
		if !ok || !z.values.Has(value) {
			return false
		}
	}
	return true
}
