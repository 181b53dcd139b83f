package csi

import (
	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
)

// Access is how a volume is to be used.
type Access struct {
	Mode    corev1.PersistentVolumeAccessMode
	Block   bool
	FSType  string
	Options []string
	// Group owns the files, when the driver sees to that.
	Group string
}

// Of says the same in the words of the interface. What ReadWriteOnce means
// depends on whether the driver tells one pod from several on a node.
func (a Access) Of(c Capabilities) *csi.VolumeCapability {
	out := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{Mode: a.mode(c.ManyWriters)}}
	if a.Block {
		out.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		return out
	}
	mount := &csi.VolumeCapability_MountVolume{FsType: a.FSType, MountFlags: a.Options}
	if c.MountGroup {
		mount.VolumeMountGroup = a.Group
	}
	out.AccessType = &csi.VolumeCapability_Mount{Mount: mount}
	return out
}

func (a Access) mode(manyWriters bool) csi.VolumeCapability_AccessMode_Mode {
	switch a.Mode {
	case corev1.ReadOnlyMany:
		return csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
	case corev1.ReadWriteMany:
		return csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	case corev1.ReadWriteOncePod:
		if manyWriters {
			return csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
		}
	default:
		if manyWriters {
			return csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
		}
	}
	return csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
}
