package csi

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"berth.dev/berth/internal/node/disk"
)

// ErrNoStats is a driver that does not tell how full its volumes are.
type ErrNoStats struct{ Driver string }

func (e ErrNoStats) Error() string {
	return fmt.Sprintf("metrics are not supported for %s", e.Driver)
}

// Stats asks how full a volume is. What the driver does not say is 0.
func (d *Driver) Stats(ctx context.Context, handle, target string) (disk.Space, error) {
	var space disk.Space
	can, err := d.Capabilities(ctx)
	if err != nil {
		return space, err
	}
	if !can.Stats {
		return space, ErrNoStats{d.Name}
	}
	answer, err := call(ctx, d, "NodeGetVolumeStats", d.node.NodeGetVolumeStats, &csi.NodeGetVolumeStatsRequest{VolumeId: handle, VolumePath: d.shown(target)})
	if err != nil {
		return space, err
	}
	if len(answer.GetUsage()) == 0 {
		return space, fmt.Errorf("failed to get usage from response. usage is nil (NodeGetVolumeStats of driver %s)", d.Name)
	}
	for _, usage := range answer.GetUsage() {
		switch usage.GetUnit() {
		case csi.VolumeUsage_BYTES:
			space.Available, space.Capacity, space.Used = usage.GetAvailable(), usage.GetTotal(), usage.GetUsed()
		case csi.VolumeUsage_INODES:
			space.InodesFree, space.Inodes, space.InodesUsed = usage.GetAvailable(), usage.GetTotal(), usage.GetUsed()
		case csi.VolumeUsage_UNKNOWN:
		}
	}
	return space, nil
}
