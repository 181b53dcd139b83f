// Package status writes pod statuses to the API: each change once, at once, in
// order, and never one that changes nothing.
package status
