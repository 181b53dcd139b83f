// Package clients holds conversations of programs that others have written with
// Berth's API server: Helm, an operator on controller-runtime, informers of
// client-go. Each is built from its own release, unmodified.
package clients
