package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// topologyKey says on which node a volume is.
const topologyKey = "topology.csi.test/node"

func (d *driver) dir(id string) string { return filepath.Join(d.root, "vol", filepath.Base(id)) }

// blocks is the file of a block volume.
func (d *driver) blocks(id string) string { return filepath.Join(d.dir(id), "blocks") }

func (d *driver) isBlock(id string) bool {
	_, err := os.Stat(d.blocks(id))
	return err == nil
}

func (d *driver) read(id, what string) string {
	text, _ := os.ReadFile(filepath.Join(d.dir(id), what))
	return string(text)
}

func (d *driver) write(id, what, text string) error {
	return os.WriteFile(filepath.Join(d.dir(id), what), []byte(text), 0o644)
}

func (d *driver) size(id string) int64 {
	n, _ := strconv.ParseInt(d.read(id, "size"), 10, 64)
	return n
}

// there is an error unless the volume exists.
func (d *driver) there(id string) error {
	if _, err := os.Stat(filepath.Join(d.dir(id), "size")); err != nil {
		return status.Errorf(codes.NotFound, "no volume %q", id)
	}
	return nil
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	out := &csi.ControllerGetCapabilitiesResponse{}
	for _, t := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME, csi.ControllerServiceCapability_RPC_GET_CAPACITY,
	} {
		out.Capabilities = append(out.Capabilities, &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{
			Rpc: &csi.ControllerServiceCapability_RPC{Type: t},
		}})
	}
	return out, nil
}

func (d *driver) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	return &csi.GetCapacityResponse{AvailableCapacity: 1 << 30}, nil
}

func (d *driver) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	id, size := "vol-"+r.Name, r.GetCapacityRange().GetRequiredBytes()
	if size > 1<<30 {
		return nil, status.Errorf(codes.OutOfRange, "there is room for 1Gi, not for %d bytes", size)
	}
	if err := os.MkdirAll(filepath.Join(d.dir(id), "data"), 0o777); err != nil {
		return nil, err
	}
	for _, c := range r.VolumeCapabilities {
		if c.GetBlock() != nil {
			if err := os.WriteFile(d.blocks(id), nil, 0o600); err != nil {
				return nil, err
			}
			if err := os.Truncate(d.blocks(id), size); err != nil {
				return nil, err
			}
		}
	}
	if err := d.write(id, "size", strconv.FormatInt(size, 10)); err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: id, CapacityBytes: size, VolumeContext: map[string]string{"made-for": r.Name},
		AccessibleTopology: r.GetAccessibilityRequirements().GetPreferred(),
	}}, nil
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if node := d.read(r.VolumeId, "attached"); node != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is attached to %s", r.VolumeId, node)
	}
	return &csi.DeleteVolumeResponse{}, os.RemoveAll(d.dir(r.VolumeId))
}

func (d *driver) ControllerPublishVolume(_ context.Context, r *csi.ControllerPublishVolumeRequest) (*csi.ControllerPublishVolumeResponse, error) {
	if err := d.there(r.VolumeId); err != nil {
		return nil, err
	}
	if on := d.read(r.VolumeId, "attached"); on != "" && on != r.NodeId {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is attached to %s", r.VolumeId, on)
	}
	if err := d.write(r.VolumeId, "attached", r.NodeId); err != nil {
		return nil, err
	}
	return &csi.ControllerPublishVolumeResponse{PublishContext: map[string]string{"attached-to": r.NodeId}}, nil
}

func (d *driver) ControllerUnpublishVolume(_ context.Context, r *csi.ControllerUnpublishVolumeRequest) (*csi.ControllerUnpublishVolumeResponse, error) {
	if staged := d.read(r.VolumeId, "staged"); staged != "" && d.read(r.VolumeId, "attached") == r.NodeId {
		// A node that is off uses nothing.
		if _, err := os.Stat(filepath.Join(d.root, "off-"+r.NodeId)); err != nil {
			return nil, status.Errorf(codes.FailedPrecondition, "volume %s is staged at %s", r.VolumeId, staged)
		}
		for _, what := range []string{"staged", "pods"} {
			if err := os.RemoveAll(filepath.Join(d.dir(r.VolumeId), what)); err != nil {
				return nil, err
			}
		}
	}
	if on := d.read(r.VolumeId, "attached"); on != r.NodeId {
		return &csi.ControllerUnpublishVolumeResponse{}, nil
	}
	if err := os.Remove(filepath.Join(d.dir(r.VolumeId), "attached")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return &csi.ControllerUnpublishVolumeResponse{}, nil
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: r.VolumeCapabilities}}, d.there(r.VolumeId)
}

func (d *driver) ControllerExpandVolume(_ context.Context, r *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	if err := d.there(r.VolumeId); err != nil {
		return nil, err
	}
	size := max(r.GetCapacityRange().GetRequiredBytes(), d.size(r.VolumeId))
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: size, NodeExpansionRequired: true}, nil
}

// isTrue reads a setting.
func isTrue(s string) bool { return strings.EqualFold(s, "true") }
