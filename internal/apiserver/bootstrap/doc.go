// Package bootstrap writes what every cluster has from the start: the system
// namespaces and the default roles and bindings (package policy).
//
// Namespaces is quick and belongs before readiness. Roles may take its time
// after that, because until it has ended the roles compiled into the binary
// count in place of missing objects. A restart that finds everything in place
// writes nothing.
package bootstrap
