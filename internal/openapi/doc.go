// Package openapi holds the OpenAPI definitions of every type that Berth
// serves. They are generated from the Go types; run go generate here after a
// change of those types or of a dependency that declares them.
package openapi

//go:generate sh generate.sh .
