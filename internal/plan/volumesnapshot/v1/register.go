package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every type in this package.
const GroupName = "snapshot.storage.k8s.io"

// SchemeGroupVersion is the group and version of every type in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

// Contents and Classes are where VolumeSnapshotContents and VolumeSnapshotClasses
// are served.
var (
	Contents = SchemeGroupVersion.WithResource("volumesnapshotcontents")
	Classes  = SchemeGroupVersion.WithResource("volumesnapshotclasses")
)

// AddToScheme makes the types of this package known to s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion,
		&VolumeSnapshot{}, &VolumeSnapshotList{},
		&VolumeSnapshotContent{}, &VolumeSnapshotContentList{},
		&VolumeSnapshotClass{}, &VolumeSnapshotClassList{},
	)
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}
