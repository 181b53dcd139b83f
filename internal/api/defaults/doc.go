// Package defaults fills the unset fields of API objects with the values that
// upstream gives them. The functions are pure and idempotent; controllers use
// them where a stored template must read as the server would store it (the name
// of a ControllerRevision depends on each byte of it).
package defaults
