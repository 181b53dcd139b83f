// Package endpoint decides the EndpointSlices of a Service.
//
// Desired endpoints come from the pods that the selector finds, one per pod
// and address family, grouped by the ports they answer on. Slices that exist
// are kept as they are as far as possible: an endpoint stays in its slice, new
// ones fill slices that have room, and only slices that really change are
// written. New slices get names derived from the Service's UID, so that a
// create that was already made cannot be made twice.
package endpoint
