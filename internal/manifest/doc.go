// Package manifest finds the lines of a user's file that an answer of the API
// server, or of package why, is about.
//
// Read takes a file apart as kubectl does and keeps where each field is written.
// Refused turns a refusal into findings, each with its line; Find gives the line
// of a field. Nothing here reads files or asks a cluster.
package manifest
