// Package bootstrap writes what every cluster has from the start: the system
// namespaces, the default roles and bindings (package policy), the priority
// classes of the system and upstream's flow schemas and priority levels.
//
// Namespaces is quick and belongs before readiness. Roles may take its time
// after that, because until it has ended the roles compiled into the binary
// count in place of missing objects. A restart that finds everything in place
// writes nothing.
package bootstrap
