package certificate

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
)

// ServingMessage is that of the Approved condition of a node's serving certificate.
const ServingMessage = "Auto approving kubelet serving certificate of the node itself, for its own name and addresses."

// Taken are names and addresses that no node may serve as, whatever it says of
// itself: those of the API server and of services.
type Taken struct {
	Names     []string
	Addresses []netip.Addr
	Ranges    []netip.Prefix
}

// ServesOnlyItself says why a node's request for a serving certificate is not
// approved without a person: it must come from that node, for its own name and
// for addresses in its status that are nobody else's. A node writes its own
// status, so what it says there is checked against the others and against taken.
func ServesOnlyItself(csr *certificatesv1.CertificateSigningRequest, req *x509.CertificateRequest, nodes []corev1.Node, taken Taken) error {
	user := req.Subject.CommonName
	if csr.Spec.Username != user || !slices.Contains(csr.Spec.Groups, nodesGroup) {
		return fmt.Errorf("%s asks for a certificate of %s", csr.Spec.Username, user)
	}
	name := strings.TrimPrefix(user, NodePrefix)
	holders := map[string][]string{} // by address
	exists := false
	for _, n := range nodes {
		exists = exists || n.Name == name
		for _, a := range n.Status.Addresses {
			holders[a.Address] = append(holders[a.Address], n.Name)
		}
	}
	if !exists {
		return fmt.Errorf("there is no node %s yet", name)
	}
	for _, dns := range req.DNSNames {
		if dns != name || slices.Contains(taken.Names, dns) {
			return fmt.Errorf("%q is not the name of node %s", dns, name)
		}
	}
	for _, ip := range req.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		a = a.Unmap()
		switch at := holders[a.String()]; {
		case !slices.Contains(at, name):
			return fmt.Errorf("%s is not an address of node %s", a, name)
		case slices.ContainsFunc(at, func(n string) bool { return n != name }):
			return fmt.Errorf("%s is an address of other nodes too", a)
		case a.IsLoopback(), a.IsUnspecified(), slices.Contains(taken.Addresses, a),
			slices.ContainsFunc(taken.Ranges, func(p netip.Prefix) bool { return p.Contains(a) }):
			return fmt.Errorf("%s is not a node's to serve on", a)
		}
	}
	return nil
}
