package columns

import snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"

// VolumeSnapshot is the header of snapshots of volumes.
var VolumeSnapshot = definitions{
	name(),
	column("ReadyToUse", "boolean", "Indicates if the snapshot is ready to be used to restore a volume."),
	column("SourcePVC", "string", "If a new snapshot needs to be created, this contains the name of the source PVC from which this snapshot was (or will be) created."),
	column("SourceSnapshotContent", "string", "If a snapshot already exists, this contains the name of the existing VolumeSnapshotContent object representing the existing snapshot."),
	column("RestoreSize", "string", "Represents the minimum size of volume required to rehydrate from this snapshot."),
	column("SnapshotClass", "string", "The name of the VolumeSnapshotClass requested by the VolumeSnapshot."),
	column("SnapshotContent", "string", "Name of the VolumeSnapshotContent object to which the VolumeSnapshot object intends to bind to. "+
		"Please note that verification of binding actually requires checking both VolumeSnapshot and VolumeSnapshotContent to ensure both are pointing at each other. "+
		"Binding MUST be verified prior to usage of this object."),
	column("CreationTime", "date", "Timestamp when the point-in-time snapshot was taken by the underlying storage system."),
	column("Age", "date", ""),
}

// VolumeSnapshotRow prints a snapshot. As those of custom kinds, cells of what is
// not there are empty.
func VolumeSnapshotRow(s *snapshotv1.VolumeSnapshot) []any {
	row := []any{
		s.Name, nil, text(s.Spec.Source.PersistentVolumeClaimName, ""), text(s.Spec.Source.VolumeSnapshotContentName, ""),
		"", text(s.Spec.VolumeSnapshotClassName, ""), "", "", age(s.CreationTimestamp),
	}
	if is := s.Status; is != nil {
		if is.ReadyToUse != nil {
			row[1] = *is.ReadyToUse
		}
		if is.RestoreSize != nil {
			row[4] = is.RestoreSize.String()
		}
		row[6] = text(is.BoundVolumeSnapshotContentName, "")
		if is.CreationTime != nil {
			row[7] = age(*is.CreationTime)
		}
	}
	return row
}

// VolumeSnapshotContent is the header of what snapshots are bound to.
var VolumeSnapshotContent = definitions{
	name(),
	column("ReadyToUse", "boolean", "Indicates if the snapshot is ready to be used to restore a volume."),
	column("RestoreSize", "integer", "Represents the complete size of the snapshot in bytes"),
	column("DeletionPolicy", "string", "Determines whether this VolumeSnapshotContent and its physical snapshot on the underlying storage system should be deleted when its bound VolumeSnapshot is deleted."),
	column("Driver", "string", "Name of the CSI driver used to create the physical snapshot on the underlying storage system."),
	column("VolumeSnapshotClass", "string", "Name of the VolumeSnapshotClass to which this snapshot belongs."),
	column("VolumeSnapshot", "string", "Name of the VolumeSnapshot object to which this VolumeSnapshotContent object is bound."),
	column("VolumeSnapshotNamespace", "string", "Namespace of the VolumeSnapshot object to which this VolumeSnapshotContent object is bound."),
	column("Age", "date", ""),
}

// VolumeSnapshotContentRow prints a content.
func VolumeSnapshotContentRow(c *snapshotv1.VolumeSnapshotContent) []any {
	s := &c.Spec
	row := []any{
		c.Name, nil, nil, string(s.DeletionPolicy), s.Driver, text(s.VolumeSnapshotClassName, ""),
		s.VolumeSnapshotRef.Name, s.VolumeSnapshotRef.Namespace, age(c.CreationTimestamp),
	}
	if is := c.Status; is != nil {
		if is.ReadyToUse != nil {
			row[1] = *is.ReadyToUse
		}
		if is.RestoreSize != nil {
			row[2] = *is.RestoreSize
		}
	}
	return row
}

// VolumeSnapshotClass is the header of classes of snapshots.
var VolumeSnapshotClass = definitions{
	name(), column("Driver", "string", ""),
	column("DeletionPolicy", "string", "Determines whether a VolumeSnapshotContent created through the VolumeSnapshotClass should be deleted when its bound VolumeSnapshot is deleted."),
	column("Age", "date", ""),
}

// VolumeSnapshotClassRow prints a class.
func VolumeSnapshotClassRow(c *snapshotv1.VolumeSnapshotClass) []any {
	return []any{c.Name, c.Driver, string(c.DeletionPolicy), age(c.CreationTimestamp)}
}
