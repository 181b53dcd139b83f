// Package why says what an object waits for: since when, whether that will ever
// pass by itself, and which command is next.
//
// Facts are objects that somebody has fetched; Ask turns them into a Report of
// Answers. Causes come first, then what only follows from them. Each answer has
// a Reason from a closed list, Reasons, which is also the table in
// docs/stuck.md. A StatefulSet's answers come from the planner's own Decide, so
// that what is said here is what the controller waits for.
package why
