// Package address decides which pod holds which address.
//
// A Ledger is the book of one cluster: pools say which addresses exist,
// records say which pod holds which of them, and Grant, Release and AfterGone
// decide about changes. Everything else follows from four rules.
//
//   - An address has at most one holder, whichever pool it comes from.
//   - A record is keyed by the pod's namespace and name, which for a pod of a
//     StatefulSet means by set and ordinal. A pod that is re-created under its
//     name finds its record and gets the same addresses, on any node, without
//     waiting for anything.
//   - A record outlives its pod while the StatefulSet still wants the ordinal,
//     and is released otherwise: at once when the pod is known to have ended,
//     after a while when it vanished although it might still run.
//   - Among free addresses the next one after the last grant is taken, so that
//     a released address rests as long as possible. Finding it costs the
//     logarithm of the number of gaps, never the size of the pool.
//
// The ledger is not safe for concurrent use: one writer owns it.
package address
