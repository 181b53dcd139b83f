// Package v2beta1 holds the address pool API of the group
// spiderpool.spidernet.io: the pools that pod addresses come from and the
// record of the addresses that one pod holds. Field names and meaning are
// those of the Spiderpool project, so that its tools read our objects.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.spidernet.spiderpool.v2beta1
// +groupName=spiderpool.spidernet.io
package v2beta1
