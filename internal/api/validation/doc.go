// Package validation finds what is wrong with an API object, in upstream's
// words and with upstream's field paths. The functions expect objects that
// package defaults has filled. They are pure: no lookups, no clock.
package validation
