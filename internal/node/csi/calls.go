package csi

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// Volume is what the calls for one volume of one pod have in common.
type Volume struct {
	Handle string
	// Staging is where the volume is prepared once for the node; empty when the
	// driver does not stage.
	Staging string
	// Target is where the pod has it.
	Target string
	// PublishContext is what the controller's half of the driver told when it attached.
	PublishContext map[string]string
	Capability     *csi.VolumeCapability
}

// Stage makes a volume ready for use on this node.
func (d *Driver) Stage(ctx context.Context, v Volume, volumeContext, secrets map[string]string) error {
	_, err := call(ctx, d, "NodeStageVolume", d.node.NodeStageVolume, &csi.NodeStageVolumeRequest{
		VolumeId: v.Handle, PublishContext: v.PublishContext, StagingTargetPath: d.shown(v.Staging),
		VolumeCapability: v.Capability, Secrets: secrets, VolumeContext: volumeContext,
	})
	return err
}

// Publish shows a volume to one pod.
func (d *Driver) Publish(ctx context.Context, v Volume, readOnly bool, volumeContext, secrets map[string]string) error {
	request := &csi.NodePublishVolumeRequest{
		VolumeId: v.Handle, PublishContext: v.PublishContext, TargetPath: d.shown(v.Target),
		VolumeCapability: v.Capability, Readonly: readOnly, Secrets: secrets, VolumeContext: volumeContext,
	}
	if v.Staging != "" {
		request.StagingTargetPath = d.shown(v.Staging)
	}
	_, err := call(ctx, d, "NodePublishVolume", d.node.NodePublishVolume, request)
	return err
}

// Unpublish takes a volume away from one pod.
func (d *Driver) Unpublish(ctx context.Context, handle, target string) error {
	_, err := call(ctx, d, "NodeUnpublishVolume", d.node.NodeUnpublishVolume, &csi.NodeUnpublishVolumeRequest{VolumeId: handle, TargetPath: d.shown(target)})
	return err
}

// Unstage undoes Stage.
func (d *Driver) Unstage(ctx context.Context, handle, staging string) error {
	_, err := call(ctx, d, "NodeUnstageVolume", d.node.NodeUnstageVolume, &csi.NodeUnstageVolumeRequest{VolumeId: handle, StagingTargetPath: d.shown(staging)})
	return err
}

// Expand makes what a node shows of a volume larger.
func (d *Driver) Expand(ctx context.Context, v Volume, size int64, secrets map[string]string) error {
	request := &csi.NodeExpandVolumeRequest{
		VolumeId: v.Handle, VolumePath: d.shown(v.Target), CapacityRange: &csi.CapacityRange{RequiredBytes: size},
		VolumeCapability: v.Capability, Secrets: secrets,
	}
	if v.Staging != "" {
		request.StagingTargetPath = d.shown(v.Staging)
	}
	_, err := call(ctx, d, "NodeExpandVolume", d.node.NodeExpandVolume, request)
	return err
}
