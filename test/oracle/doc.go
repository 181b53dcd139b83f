// Package oracle compares.
package oracle
