package validation

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	snapshotv1 "berth.dev/berth/internal/plan/volumesnapshot/v1"
)

var sourcePath = specPath.Child("source")

// VolumeSnapshot checks a snapshot as the rules of upstream's definition do.
func VolumeSnapshot(s *snapshotv1.VolumeSnapshot) field.ErrorList {
	var f findings
	f.customMeta(&s.ObjectMeta, true)
	f.volumeSnapshot(&s.Spec)
	return f.list
}

func (f *findings) volumeSnapshot(s *snapshotv1.VolumeSnapshotSpec) {
	from := s.Source
	if (from.PersistentVolumeClaimName == nil) == (from.VolumeSnapshotContentName == nil) {
		f.invalid(sourcePath, from, "exactly one of volumeSnapshotContentName and persistentVolumeClaimName must be set")
	}
	if class := s.VolumeSnapshotClassName; class != nil && *class == "" {
		f.invalid(specPath.Child("volumeSnapshotClassName"), *class, "volumeSnapshotClassName must not be the empty string when set")
	}
}

// VolumeSnapshotUpdate checks a change of a snapshot.
func VolumeSnapshotUpdate(s, old *snapshotv1.VolumeSnapshot) field.ErrorList {
	var f findings
	f.customMetaUpdate(&s.ObjectMeta, &old.ObjectMeta)
	f.volumeSnapshot(&s.Spec)
	from, was := s.Spec.Source, old.Spec.Source
	f.once(sourcePath, from, "persistentVolumeClaimName", from.PersistentVolumeClaimName, was.PersistentVolumeClaimName)
	f.once(sourcePath, from, "volumeSnapshotContentName", from.VolumeSnapshotContentName, was.VolumeSnapshotContentName)
	return f.list
}

// once lets a field be set and never changed or taken away.
func (f *findings) once(p *field.Path, whole any, name string, value, was *string) {
	switch {
	case was == nil:
	case value == nil:
		f.invalid(p, whole, name+" is required once set")
	case *value != *was:
		f.invalid(p.Child(name), *value, name+" is immutable")
	}
}

// VolumeSnapshotContent checks a content as the rules of upstream's definition do.
func VolumeSnapshotContent(c *snapshotv1.VolumeSnapshotContent) field.ErrorList {
	var f findings
	f.customMeta(&c.ObjectMeta, false)
	f.volumeSnapshotContent(&c.Spec)
	return f.list
}

func (f *findings) volumeSnapshotContent(s *snapshotv1.VolumeSnapshotContentSpec) {
	if ref := s.VolumeSnapshotRef; ref.Name == "" || ref.Namespace == "" {
		f.invalid(specPath.Child("volumeSnapshotRef"), ref, "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set")
	}
	setAndAmong(f, specPath.Child("deletionPolicy"), s.DeletionPolicy, snapshotv1.Delete, snapshotv1.Retain)
	f.notEmpty(specPath.Child("driver"), s.Driver)
	if from := s.Source; (from.VolumeHandle == nil) == (from.SnapshotHandle == nil) {
		f.invalid(sourcePath, from, "exactly one of volumeHandle and snapshotHandle must be set")
	}
}

// VolumeSnapshotContentUpdate checks a change of a content.
func VolumeSnapshotContentUpdate(c, old *snapshotv1.VolumeSnapshotContent) field.ErrorList {
	var f findings
	f.customMetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.volumeSnapshotContent(&c.Spec)
	from, was := c.Spec.Source, old.Spec.Source
	f.once(sourcePath, from, "volumeHandle", from.VolumeHandle, was.VolumeHandle)
	f.once(sourcePath, from, "snapshotHandle", from.SnapshotHandle, was.SnapshotHandle)
	switch mode, was := c.Spec.SourceVolumeMode, old.Spec.SourceVolumeMode; {
	case was == nil:
	case mode == nil:
		f.invalid(specPath, "", "sourceVolumeMode is required once set")
	case *mode != *was:
		f.invalid(specPath.Child("sourceVolumeMode"), *mode, "sourceVolumeMode is immutable")
	}
	return f.list
}

// VolumeSnapshotContentStatusUpdate checks what is reported of a content.
func VolumeSnapshotContentStatusUpdate(c, old *snapshotv1.VolumeSnapshotContent) field.ErrorList {
	var f findings
	f.customMetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if s := c.Status; s != nil && s.RestoreSize != nil && !equality.Semantic.DeepEqual(s, old.Status) && *s.RestoreSize < 0 {
		f.invalid(field.NewPath("status", "restoreSize"), *s.RestoreSize, "status.restoreSize in body should be greater than or equal to 0")
	}
	return f.list
}

// VolumeSnapshotClass checks a class.
func VolumeSnapshotClass(c *snapshotv1.VolumeSnapshotClass) field.ErrorList {
	var f findings
	f.customMeta(&c.ObjectMeta, false)
	f.volumeSnapshotClass(c)
	return f.list
}

func (f *findings) volumeSnapshotClass(c *snapshotv1.VolumeSnapshotClass) {
	f.notEmpty(field.NewPath("driver"), c.Driver)
	setAndAmong(f, field.NewPath("deletionPolicy"), c.DeletionPolicy, snapshotv1.Delete, snapshotv1.Retain)
}

// VolumeSnapshotClassUpdate checks a change of a class.
func VolumeSnapshotClassUpdate(c, old *snapshotv1.VolumeSnapshotClass) field.ErrorList {
	var f findings
	f.customMetaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	f.volumeSnapshotClass(c)
	return f.list
}
