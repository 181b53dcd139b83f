// Package aggregation lets other API servers answer for group versions, as
// APIServices say, and keeps the APIServices of what this server answers
// itself. Nothing but one informer runs before the first APIService that names
// a Service appears.
package aggregation
