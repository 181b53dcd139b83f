// Package packet decides where packets to Services go: Services and their
// EndpointSlices in, a table of entries out. It knows nothing of nftables; the
// service proxy writes the entries into maps, so that a change of one Service is
// a change of a few map elements and never of rules.
//
// A packet to a Service (cluster IP, protocol, port) looks up how many endpoints
// that has, draws a number below it, and looks up the endpoint under that
// number. A Service port without endpoints is refused at once.
package packet
