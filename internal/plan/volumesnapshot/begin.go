package volumesnapshot

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"

	planvolume "berth.dev/berth/internal/plan/volume"
	v1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

// begin makes the content that asks for a snapshot of a claim's volume: a node
// takes those of local volumes, a driver's sidecar those of its own.
func begin(s State) Plan {
	if s.Snapshot.Spec.VolumeSnapshotClassName == nil {
		return chooseClass(s)
	}
	class, plan := s.class()
	if class == nil {
		return plan
	}
	const doing = "Failed to create snapshot content with error "
	// Upstream marks the claim first. One that waits for a volume could not be deleted then.
	if why := untakeable(s, class); why != "" {
		return failed(s, "SnapshotContentCreationFailed", doing+why)
	}
	secret, err := secretOf(class, ContentName(s.Snapshot), s.Snapshot)
	if err != nil {
		return failed(s, "SnapshotContentCreationFailed", fmt.Sprintf("%sfailed to get input parameters to create snapshot %s: %q", doing, s.Snapshot.Name, err.Error()))
	}
	if with := add(s.Claim.Finalizers, ClaimFinalizer); with != nil {
		claim := s.Claim.DeepCopy()
		claim.Finalizers = with
		return Plan{Claim: claim}
	}
	of := volumeHandle(s.Volume)
	plan = Plan{Create: &v1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: ContentName(s.Snapshot), Finalizers: []string{ContentFinalizer}, Annotations: secret},
		Spec: v1.VolumeSnapshotContentSpec{
			VolumeSnapshotRef: corev1.ObjectReference{
				APIVersion: v1.SchemeGroupVersion.String(), Kind: "VolumeSnapshot",
				Namespace: s.Snapshot.Namespace, Name: s.Snapshot.Name, UID: s.Snapshot.UID, ResourceVersion: s.Snapshot.ResourceVersion,
			},
			Source:                  v1.VolumeSnapshotContentSource{VolumeHandle: &of},
			VolumeSnapshotClassName: &class.Name,
			DeletionPolicy:          class.DeletionPolicy,
			Driver:                  class.Driver,
			SourceVolumeMode:        s.Volume.Spec.VolumeMode,
		},
	}}
	plan.say(corev1.EventTypeNormal, "CreatingSnapshot", "Waiting for a snapshot "+key(s.Snapshot)+" to be created by the CSI driver.")
	return plan
}

// volumeHandle is what a volume is called by whoever takes snapshots of it.
func volumeHandle(pv *corev1.PersistentVolume) string {
	if pv.Spec.CSI != nil {
		return pv.Spec.CSI.VolumeHandle
	}
	return handle(planvolume.LocalHosts(pv)[0], pv.Name)
}

// class is the class that the snapshot names, or what to do when there is none.
func (s State) class() (*v1.VolumeSnapshotClass, Plan) {
	name := *s.Snapshot.Spec.VolumeSnapshotClassName
	for _, c := range s.Classes {
		if c.Name == name {
			return c, Plan{}
		}
	}
	return nil, noClass(s, "GetSnapshotClassFailed", fmt.Sprintf("Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io %q not found", name))
}

// IsDefault tells whether a class is the default one for a driver's volumes.
func IsDefault(c *v1.VolumeSnapshotClass, driver string) bool {
	return c.Annotations[DefaultClass] == "true" && c.Driver == driver
}

// chooseClass gives the default class of the volume's driver to a snapshot that
// left its class open.
func chooseClass(s State) Plan {
	var found []*v1.VolumeSnapshotClass
	why := unbound(s)
	if why == "" {
		switch driver := driverOf(s.Volume); driver {
		case "":
			why = "snapshotting non-CSI volumes is not supported, snapshot:" + key(s.Snapshot)
		default:
			for _, c := range s.Classes {
				if IsDefault(c, driver) {
					found = append(found, c)
				}
			}
		}
	}
	switch {
	case why != "":
	case len(found) == 1:
		snapshot := s.Snapshot.DeepCopy()
		snapshot.Spec.VolumeSnapshotClassName = &found[0].Name
		return Plan{Snapshot: snapshot}
	case len(found) == 0:
		why = "cannot find default snapshot class"
	default:
		why = fmt.Sprintf("%d default snapshot classes were found", len(found))
	}
	return noClass(s, "SetDefaultSnapshotClassFailed", "Failed to set default snapshot class with error "+why)
}

// noClass says why a snapshot has no class, which is no word about whether it is
// ready.
func noClass(s State, reason, message string) Plan {
	plan := failed(s, reason, message)
	if plan.Status != nil {
		plan.Status.Status.ReadyToUse = nil
		if was := s.Snapshot.Status; was != nil {
			plan.Status.Status.ReadyToUse = was.ReadyToUse
		}
	}
	return plan
}

// driverOf is who can take snapshots of a volume, "" for nobody.
func driverOf(pv *corev1.PersistentVolume) string {
	switch {
	case pv.Spec.CSI != nil:
		return pv.Spec.CSI.Driver
	case pv.Annotations[volume.AnnDynamicallyProvisioned] == planvolume.LocalProvisioner && pv.Spec.Local != nil && len(planvolume.LocalHosts(pv)) > 0:
		return planvolume.LocalProvisioner
	}
	return ""
}

// untakeable is why no snapshot can be taken of the claim's volume.
func untakeable(s State, class *v1.VolumeSnapshotClass) string {
	cannot := func(name, why string) string {
		return "snapshot controller failed to update " + name + " on API server: " + why
	}
	switch {
	case s.Claim == nil:
		return cannot(s.Snapshot.Name, "cannot get claim from snapshot")
	case s.Claim.DeletionTimestamp != nil && !slices.Contains(s.Claim.Finalizers, ClaimFinalizer):
		return cannot(s.Claim.Name, "cannot add finalizer on claim because it is being deleted")
	}
	if why := unbound(s); why != "" {
		return fmt.Sprintf("failed to get input parameters to create snapshot %s: %q", s.Snapshot.Name, why)
	}
	switch driver := driverOf(s.Volume); {
	case driver == "":
		return "cannot find CSI PersistentVolumeSource for volume " + s.Volume.Name
	case driver != class.Driver:
		return fmt.Sprintf("VolumeSnapshotClass %s is of driver %s, volume %s of %s", class.Name, class.Driver, s.Volume.Name, driver)
	}
	return ""
}

// unbound is why the claim has no volume that a snapshot could be taken of.
func unbound(s State) string {
	name := SourceClaim(s.Snapshot)
	switch c, pv := s.Claim, s.Volume; {
	case c == nil:
		return fmt.Sprintf("failed to retrieve PVC %s from the lister: %q", name, fmt.Sprintf("persistentvolumeclaim %q not found", name))
	case c.Status.Phase != corev1.ClaimBound:
		return fmt.Sprintf("the PVC %s is not yet bound to a PV, will not attempt to take a snapshot", name)
	case pv == nil:
		return fmt.Sprintf("failed to retrieve PV %s from the API server: %q", c.Spec.VolumeName, fmt.Sprintf("persistentvolumes %q not found", c.Spec.VolumeName))
	case pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID != c.UID:
		return "claim in dataSource not bound or invalid"
	}
	return ""
}
