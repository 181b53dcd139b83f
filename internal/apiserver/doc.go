// Package apiserver assembles Berth's API server from Kubernetes' own library
// (k8s.io/apiserver, apiextensions-apiserver) and the kinds that internal/api
// declares. It serves TLS clients and, through ClientConfig, the components of
// its own process.
package apiserver
