// Package reap decides what garbage collection does with one object: whether
// its owners still want it, whether it waits for its dependents, and whether
// they are to be set free.
//
// An object goes when no owner of it exists any more, or when an owner is
// being deleted in the foreground and nobody else owns it. An owner whose kind
// cannot be asked for counts as existing: what cannot be known is not deleted.
package reap
