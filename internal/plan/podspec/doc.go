// Package podspec derives what a node needs from a pod's spec: its quality of
// service, host name, resolver, hosts file, environment and resource settings.
// It is pure; whatever comes from elsewhere (services, ConfigMaps, the node's
// own resolver) is handed in.
package podspec
