package volume

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/csi"
	"berth.dev/berth/internal/plan/volume"
)

// claimKind is a claim of a driver's volume: when it asks for more room, the
// node has work.
const claimKind = "persistentvolumeclaim"

// grow makes what the pod sees of a volume as large as the volume has become. A
// failure is told and does not keep the pod from the volume that it has.
func (v *Volumes) grow(ctx context.Context, pod *corev1.Pod, d *driven, target string) error {
	if d.pv == nil {
		return nil
	}
	v.follows.also(v.life, pod.UID, ref{claimKind, pod.Namespace, d.claim})
	claim, err := v.cfg.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, d.claim, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("failed to fetch PVC from API server: %w", err)
	}
	size, needed := volume.NodeGrows(claim, d.pv)
	if !needed {
		return nil
	}
	if err := v.expand(ctx, d, claim, size, target); err != nil {
		if ctx.Err() == nil {
			v.say(pod, corev1.EventTypeWarning, "FileSystemResizeFailed", fmt.Sprintf("MountVolume.NodeExpandVolume failed for volume %q : %v", d.pv.Name, err))
			v.queue.AddRateLimited(pod.UID)
		}
		return nil
	}
	if err := v.writeGrown(ctx, claim, size); err != nil {
		return fmt.Errorf("write down that volume %s has grown: %w", d.pv.Name, err)
	}
	v.say(pod, corev1.EventTypeNormal, "FileSystemResizeSuccessful", fmt.Sprintf("MountVolume.NodeExpandVolume succeeded for volume %q %s", d.pv.Name, v.cfg.NodeName))
	return nil
}

func (v *Volumes) say(pod *corev1.Pod, kind, reason, message string) {
	if v.cfg.Event != nil {
		v.cfg.Event(pod, kind, reason, message)
	}
}

// expand asks the driver, where it has something to do with that.
func (v *Volumes) expand(ctx context.Context, d *driven, claim *corev1.PersistentVolumeClaim, size resource.Quantity, target string) error {
	driver, err := v.cfg.Drivers.Driver(d.use.Driver)
	if err != nil {
		return err
	}
	can, err := driver.Capabilities(ctx)
	if err != nil || !can.Expand {
		return err
	}
	secrets, err := v.secrets(ctx, d.pv.Spec.CSI.NodeExpandSecretRef)
	if err != nil {
		return err
	}
	do := csi.Volume{Handle: d.use.Handle, Target: target, Capability: d.access(nil).Of(can)}
	if can.Stage {
		do.Staging = v.staging(d.use)
	}
	if err := v.writeStep(ctx, claim, corev1.PersistentVolumeClaimNodeResizeInProgress); err != nil {
		return err
	}
	return driver.Expand(ctx, do, size.Value(), secrets)
}

// writeStep says in the claim's status how far its growth is.
func (v *Volumes) writeStep(ctx context.Context, claim *corev1.PersistentVolumeClaim, step corev1.ClaimResourceStatus) error {
	if claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage] == step {
		return nil
	}
	return v.patchClaim(ctx, claim, map[string]any{
		"allocatedResourceStatuses": map[corev1.ResourceName]corev1.ClaimResourceStatus{corev1.ResourceStorage: step},
	})
}

func (v *Volumes) writeGrown(ctx context.Context, claim *corev1.PersistentVolumeClaim, size resource.Quantity) error {
	conditions := []map[string]any{}
	for _, kind := range []corev1.PersistentVolumeClaimConditionType{corev1.PersistentVolumeClaimResizing, corev1.PersistentVolumeClaimFileSystemResizePending} {
		conditions = append(conditions, map[string]any{"type": kind, "$patch": "delete"})
	}
	return v.patchClaim(ctx, claim, map[string]any{
		"capacity":                  corev1.ResourceList{corev1.ResourceStorage: size},
		"allocatedResourceStatuses": map[corev1.ResourceName]any{corev1.ResourceStorage: nil},
		"conditions":                conditions,
	})
}

func (v *Volumes) patchClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": claim.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = v.cfg.Client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
