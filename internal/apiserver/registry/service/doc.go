// Package service gives Services their cluster addresses and node ports. What
// is taken is kept in memory and read back from the stored Services at start;
// that is enough while one server writes to the datastore.
package service
