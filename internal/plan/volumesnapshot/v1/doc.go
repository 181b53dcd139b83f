// Package v1 holds the kinds of snapshot.storage.k8s.io: snapshots of volumes,
// what they are bound to, and their classes. Field names and meaning are those
// of Kubernetes' external-snapshotter, whose clients read our objects.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.k8s.storage.snapshot.v1
// +groupName=snapshot.storage.k8s.io
package v1
