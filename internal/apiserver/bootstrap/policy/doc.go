// Package policy holds the roles and bindings that every cluster starts with,
// upstream's and Berth's own, as one readable text that is compiled in.
package policy
