// Package packet decides where packets to Services go: Services and their
// EndpointSlices in, a table of entries out. It knows nothing of nftables; the
// service proxy writes the entries into maps, so that a change of one Service is
// a change of a few map elements and never of rules.
//
// A packet to a Service (address, protocol, port: a Front) looks up how one of
// that front's endpoints is drawn, draws a number, and looks up the endpoint
// under that number. Packets from outside the cluster have endpoints of their
// own where externalTrafficPolicy is Local. A node port is a front without an
// address. A front without endpoints is refused at once, or dropped where only
// this node has none.
package packet
