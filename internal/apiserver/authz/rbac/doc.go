// Package rbac decides by roles and bindings. It keeps an index from subjects
// to rules over the shared informers and rebuilds it after a change. Aggregated
// cluster roles are resolved here, so that a new role counts at once.
//
// Until the default roles and bindings exist as objects, those compiled into
// the binary count in their place: system components can work from the first
// moment of a new cluster. Settle ends that, once the objects are written.
package rbac
