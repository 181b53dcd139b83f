// Package v1 holds the API of the group k8s.cni.cncf.io: networks that pods
// can have an interface in, as the Network Plumbing Working Group defines them.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.cncf.cni.k8s.v1
// +groupName=k8s.cni.cncf.io
package v1
