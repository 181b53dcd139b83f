// Package addresspool refuses address pools and subnets that contradict others
// or what pods hold. Its checks need all objects of a kind, so they run one at a
// time, from before an object is validated until after it is stored.
package addresspool
