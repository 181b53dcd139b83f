// Package pki makes and keeps the certificates and keys of one instance: the
// cluster's certificate authority, the serving and client certificates of its
// components, the key that signs service account tokens, and the kubeconfigs
// that carry them. Every file is written whole or not at all, so that a crash
// at any moment leaves a directory from which Ensure goes on.
//
// The authority is made once and never replaced. The other certificates are
// issued again when they run out, or when the names they must hold change.
package pki
