// Package berth is empty: the program is in cmd/berth, what it is made of in
// internal. The tests here police the repository's own rules (CONTRIBUTING.md).
package berth
