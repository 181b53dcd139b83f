package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth.dev/berth/internal/node/loopdev"
)

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{
		NodeId: "id-of-" + d.nodeID, MaxVolumesPerNode: d.limit,
		AccessibleTopology: &csi.Topology{Segments: map[string]string{topologyKey: d.nodeID}},
	}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	out := &csi.NodeGetCapabilitiesResponse{}
	for _, t := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME, csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
	} {
		out.Capabilities = append(out.Capabilities, &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{
			Rpc: &csi.NodeServiceCapability_RPC{Type: t},
		}})
	}
	return out, nil
}

// mounted tells whether something is mounted at path, which is the real one here.
func mounted(path string) bool {
	info, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(info)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true
		}
	}
	return false
}

func bind(from, to string, readOnly bool) error {
	if mounted(to) {
		return nil
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil || !readOnly {
		return err
	}
	return unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

func drop(path string) error {
	for mounted(path) {
		if err := unix.Unmount(path, 0); err != nil {
			return status.Errorf(codes.Internal, "unmount %s: %v", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d *driver) NodeStageVolume(_ context.Context, r *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if err := d.there(r.VolumeId); err != nil {
		return nil, err
	}
	me := "id-of-" + d.nodeID
	if on := d.read(r.VolumeId, "attached"); isTrue(r.VolumeContext["attach"]) != (r.PublishContext["attached-to"] == me) || on != r.PublishContext["attached-to"] {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is attached to %q, staged with %v", r.VolumeId, on, r.PublishContext)
	}
	if d.isBlock(r.VolumeId) {
		if _, err := loopdev.Attach(d.blocks(r.VolumeId)); err != nil {
			return nil, err
		}
	} else if err := bind(filepath.Join(d.dir(r.VolumeId), "data"), r.StagingTargetPath, false); err != nil {
		return nil, err
	}
	return &csi.NodeStageVolumeResponse{}, d.write(r.VolumeId, "staged", r.StagingTargetPath)
}

func (d *driver) NodeUnstageVolume(_ context.Context, r *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	on := d.read(r.VolumeId, "attached")
	if pods, _ := os.ReadDir(filepath.Join(d.dir(r.VolumeId), "pods")); len(pods) > 0 && (on == "" || on == "id-of-"+d.nodeID) {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is still published to %d pods", r.VolumeId, len(pods))
	}
	if d.isBlock(r.VolumeId) {
		file, err := loopdev.Of(d.blocks(r.VolumeId))
		if err == nil {
			err = loopdev.Detach(file)
		}
		if err != nil {
			return nil, err
		}
	} else if mounted(r.StagingTargetPath) {
		if err := unix.Unmount(r.StagingTargetPath, 0); err != nil {
			return nil, err
		}
	}
	// One that was taken from this node while it was off may be another's now.
	if on != "" && on != "id-of-"+d.nodeID {
		return &csi.NodeUnstageVolumeResponse{}, nil
	}
	if err := os.Remove(filepath.Join(d.dir(r.VolumeId), "staged")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return &csi.NodeUnstageVolumeResponse{}, nil
}

// user is the file that says that a volume is published at a path.
func (d *driver) user(id, target string) string {
	return filepath.Join(d.dir(id), "pods", strings.ReplaceAll(target, "/", "_"))
}

func (d *driver) NodePublishVolume(_ context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	inline := isTrue(r.VolumeContext["csi.storage.k8s.io/ephemeral"])
	if inline {
		if err := os.MkdirAll(filepath.Join(d.dir(r.VolumeId), "data"), 0o777); err != nil {
			return nil, err
		}
		text := r.VolumeContext["says"] + " to " + r.VolumeContext["csi.storage.k8s.io/pod.name"] + " with " + r.Secrets["password"]
		if err := os.WriteFile(filepath.Join(d.dir(r.VolumeId), "data", "said"), []byte(text), 0o644); err != nil {
			return nil, err
		}
	} else if staged := d.read(r.VolumeId, "staged"); staged != r.StagingTargetPath || staged == "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is staged at %q, published from %q", r.VolumeId, staged, r.StagingTargetPath)
	}
	if err := os.MkdirAll(filepath.Join(d.dir(r.VolumeId), "pods"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.user(r.VolumeId, r.TargetPath), nil, 0o644); err != nil {
		return nil, err
	}
	from := r.StagingTargetPath
	switch {
	case d.isBlock(r.VolumeId):
		device, err := loopdev.Attach(d.blocks(r.VolumeId)) // it is there already
		if err != nil {
			return nil, err
		}
		from = device
		if err := os.WriteFile(r.TargetPath, nil, 0o600); err != nil && !mounted(r.TargetPath) {
			return nil, err
		}
	default:
		if inline {
			from = filepath.Join(d.dir(r.VolumeId), "data")
		}
		if err := os.MkdirAll(r.TargetPath, 0o755); err != nil {
			return nil, err
		}
	}
	return &csi.NodePublishVolumeResponse{}, bind(from, r.TargetPath, r.Readonly)
}

func (d *driver) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := drop(r.TargetPath); err != nil {
		return nil, err
	}
	if err := os.Remove(d.user(r.VolumeId, r.TargetPath)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if d.there(r.VolumeId) != nil { // an inline one ends with its pod
		return &csi.NodeUnpublishVolumeResponse{}, os.RemoveAll(d.dir(r.VolumeId))
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (d *driver) NodeExpandVolume(_ context.Context, r *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if !mounted(r.VolumePath) {
		return nil, status.Errorf(codes.FailedPrecondition, "nothing is mounted at %s", r.VolumePath)
	}
	size := r.GetCapacityRange().GetRequiredBytes()
	if d.isBlock(r.VolumeId) {
		if err := loopdev.Resize(d.blocks(r.VolumeId), size); err != nil {
			return nil, err
		}
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: size}, d.write(r.VolumeId, "size", strconv.FormatInt(size, 10))
}

func (d *driver) NodeGetVolumeStats(_ context.Context, r *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if err := d.there(r.VolumeId); err != nil {
		return nil, err
	}
	size := d.size(r.VolumeId)
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: size, Used: 4096, Available: size - 4096},
		{Unit: csi.VolumeUsage_INODES, Total: 100, Used: 3, Available: 97},
	}}, nil
}
