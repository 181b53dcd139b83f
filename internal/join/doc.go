// Package join is how a machine becomes part of a cluster that runs elsewhere:
// the token that it is given, whom it believes, the certificates that it asks
// for and renews, and where it finds the servers.
package join
