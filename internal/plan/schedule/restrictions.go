package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// exclusive says that a volume is of a kind that pods on one node may not share.
func exclusive(v *corev1.Volume) bool {
	return v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil || v.RBD != nil || v.ISCSI != nil
}

// disksTaken says that a pod on the node uses one of the disks.
func disksTaken(disks []*corev1.Volume, pods []*placed) bool {
	for _, p := range pods {
		if sharesDisk(disks, p.pod) {
			return true
		}
	}
	return false
}

func sharesDisk(disks []*corev1.Volume, pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		for _, disk := range disks {
			if sameDisk(disk, &pod.Spec.Volumes[i]) {
				return true
			}
		}
	}
	return false
}

// sameDisk says that two volumes are one disk and not both only read it.
func sameDisk(a, b *corev1.Volume) bool {
	switch {
	case a.GCEPersistentDisk != nil && b.GCEPersistentDisk != nil:
		x, y := a.GCEPersistentDisk, b.GCEPersistentDisk
		return x.PDName == y.PDName && (!x.ReadOnly || !y.ReadOnly)
	case a.AWSElasticBlockStore != nil && b.AWSElasticBlockStore != nil:
		return a.AWSElasticBlockStore.VolumeID == b.AWSElasticBlockStore.VolumeID
	case a.ISCSI != nil && b.ISCSI != nil:
		return a.ISCSI.IQN == b.ISCSI.IQN && (!a.ISCSI.ReadOnly || !b.ISCSI.ReadOnly)
	case a.RBD != nil && b.RBD != nil:
		x, y := a.RBD, b.RBD
		return x.RBDPool == y.RBDPool && x.RBDImage == y.RBDImage && (!x.ReadOnly || !y.ReadOnly) &&
			slices.ContainsFunc(x.CephMonitors, func(m string) bool { return slices.Contains(y.CephMonitors, m) })
	}
	return false
}
