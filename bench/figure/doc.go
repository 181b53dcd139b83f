// Package figure holds what a benchmark measured and prints it as a table: for
// each row the median of its repeats, and how servers compare.
package figure
