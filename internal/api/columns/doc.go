// Package columns prints API objects as rows of kubectl's tables: for each kind
// the definitions of its columns, and a function that gives the cells.
package columns
