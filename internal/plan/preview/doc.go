// Package preview says what would happen to an object that is created or
// changed, without anything being touched.
//
// Fields compares the object as it is with the object as the API server would
// store it (a dry run). Set drives a StatefulSet's own planner forward over a
// toy world in which deleted pods go and new pods become available, one step
// after the other, and notes what a user should know before: how many pods are
// down at a time, which PodDisruptionBudget that falls below, which claims go.
package preview
