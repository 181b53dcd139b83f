package csi

import (
	"errors"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
)

func TestAccess(t *testing.T) {
	const (
		single = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
		alone  = csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
		shared = csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
		reads  = csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
		writes = csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	)
	for mode, want := range map[corev1.PersistentVolumeAccessMode][2]csi.VolumeCapability_AccessMode_Mode{
		corev1.ReadWriteOnce: {single, shared}, corev1.ReadWriteOncePod: {single, alone}, "": {single, shared},
		corev1.ReadOnlyMany: {reads, reads}, corev1.ReadWriteMany: {writes, writes},
	} {
		for i, can := range []Capabilities{{}, {ManyWriters: true}} {
			if got := (Access{Mode: mode}).Of(can).AccessMode.Mode; got != want[i] {
				t.Errorf("%s with %v: %v", mode, can, got)
			}
		}
	}
	a := Access{FSType: "xfs", Options: []string{"noatime"}, Group: "7"}
	if m := a.Of(Capabilities{MountGroup: true}).GetMount(); m.FsType != "xfs" || m.MountFlags[0] != "noatime" || m.VolumeMountGroup != "7" {
		t.Error(m)
	}
	if m := a.Of(Capabilities{}).GetMount(); m.VolumeMountGroup != "" {
		t.Error("a group for a driver that knows none")
	}
	a.Block = true
	if c := a.Of(Capabilities{}); c.GetBlock() == nil || c.GetMount() != nil {
		t.Error(c)
	}
}

func TestKnownVersion(t *testing.T) {
	for _, good := range [][]string{{"1.0.0"}, {"v1.12"}, {"0.3.0", "1.2.0"}, {"1"}} {
		if err := knownVersion(good); err != nil {
			t.Error(good, err)
		}
	}
	for _, bad := range [][]string{nil, {"0.3.0"}, {"2.0.0"}, {"", "x"}, {"11.0"}} {
		if err := knownVersion(bad); !errors.Is(err, errNoVersion) {
			t.Error(bad, err)
		}
	}
}

func TestPathsOfDrivers(t *testing.T) {
	r := New(Config{Root: "/data/kubelet", Shown: "/var/lib/kubelet"})
	for ours, theirs := range map[string]string{"/data/kubelet/pods/x": "/var/lib/kubelet/pods/x", "/elsewhere/s": "/elsewhere/s", "/data/kubelet-2/x": "/data/kubelet-2/x"} {
		if r.shown(ours) != theirs || r.real(theirs) != ours {
			t.Error(ours, r.shown(ours), r.real(theirs))
		}
	}
}
