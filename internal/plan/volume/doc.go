// Package volume decides how claims and volumes find each other and part.
//
// Claim looks at one PersistentVolumeClaim: which volume it gets, what has to
// be written on both sides, its status, and what to tell the user. Volume
// looks at one PersistentVolume: its phase, whether it has to let go of a
// claim, and whether it is to be deleted. Provision makes the volume of the
// built-in local provisioner.
//
// A binding is written in the order volume, claim, claim status; both sides
// name each other, and every intermediate state leads on to the same end, so a
// crash between two writes is mended by deciding again.
package volume
