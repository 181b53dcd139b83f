package pki

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/utils/clock"
)

// Options say what the certificates are for.
type Options struct {
	// Clock is the time; nil means the real one.
	Clock         clock.PassiveClock
	NodeName      string
	ClusterDomain string // "cluster.local" when empty
	// ServiceIPs are the first addresses of the service ranges: where pods reach the API server.
	ServiceIPs       []net.IP
	AdvertiseAddress net.IP
	NodeIPs          []net.IP
	// ExtraNames are further names or addresses of the API server (--tls-san).
	ExtraNames []string
}

// Set is everything that Ensure keeps in its directory.
type Set struct {
	CA *Authority
	// CAFile holds the authority's certificate, which everybody may read.
	CAFile string
	// APIServer is its serving certificate.
	APIServer Pair
	// KubeletClient is what the API server shows to node agents.
	KubeletClient Pair
	// Admin is the administrator's client certificate (system:masters).
	Admin Pair
	// NodeClient and NodeServing are this machine's node agent's.
	NodeClient, NodeServing Pair
	// FrontProxyCA and its file verify those who may speak for others with
	// X-Remote-User headers. It is an authority of its own, so that no other
	// client certificate of the cluster gives that power.
	FrontProxyCA     *Authority
	FrontProxyCAFile string
	// FrontProxy is what the API server shows to aggregated API servers. Its
	// common name is FrontProxyName.
	FrontProxy Pair
	// Peer is what this server shows to other servers of the cluster.
	Peer Peer
	// ServiceAccountKey signs service account tokens.
	ServiceAccountKey *ecdsa.PrivateKey
	// JoinToken lets machines join, in the form of a bootstrap token: id.secret.
	JoinToken string
}

// FrontProxyName is the only name that request headers are believed from.
const FrontProxyName = "front-proxy-client"

// Ensure returns the certificates and keys in dir and makes what is missing or
// no longer fits opts. An unreadable file is an error that names it; it is
// never replaced silently.
func Ensure(dir string, opts Options) (*Set, error) {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.ClusterDomain == "" {
		opts.ClusterDomain = "cluster.local"
	}
	if opts.NodeName == "" {
		return nil, errors.New("pki: no node name given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keeping %s private: %w", dir, err)
	}
	removeLeftovers(dir)

	ca, err := ensureAuthority(dir, clusterAuthority, opts.Clock)
	if err != nil {
		return nil, err
	}
	set := &Set{CA: ca, CAFile: filepath.Join(dir, "ca.crt")}
	var wait sync.WaitGroup
	leaves := opts.leaves(set)
	errs := make([]error, len(leaves)+4)
	// Together, because what takes time is waiting for the disk.
	for i, leaf := range leaves {
		wait.Go(func() { *leaf.into, errs[i] = ca.ensurePair(dir, leaf.name, leaf.subject) })
	}
	wait.Go(func() {
		const cure = "restore it from a backup, or delete it: then a new key is made and all service account tokens must be issued again"
		set.ServiceAccountKey, errs[len(leaves)] = ensureKey(filepath.Join(dir, "sa.key"), true, cure)
	})
	wait.Go(func() { errs[len(leaves)+1] = set.ensureFrontProxy(dir, opts.Clock) })
	wait.Go(func() { set.JoinToken, errs[len(leaves)+2] = ensureToken(dir) })
	wait.Go(func() { set.Peer, errs[len(leaves)+3] = EnsurePeer(dir, opts.NodeName, opts.Clock) })
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return set, syncDir(dir)
}

func (s *Set) ensureFrontProxy(dir string, c clock.PassiveClock) (err error) {
	if s.FrontProxyCA, err = ensureAuthority(dir, frontProxyAuthority, c); err != nil {
		return err
	}
	s.FrontProxyCAFile = filepath.Join(dir, frontProxyAuthority.name+".crt")
	s.FrontProxy, err = s.FrontProxyCA.ensurePair(dir, FrontProxyName, Subject{CommonName: FrontProxyName})
	return err
}

type leaf struct {
	name    string
	into    *Pair
	subject Subject
}

func (o Options) leaves(s *Set) []leaf {
	node := "system:node:" + o.NodeName
	return []leaf{
		{"apiserver", &s.APIServer, o.apiServer()},
		{"apiserver-kubelet-client", &s.KubeletClient, Subject{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}}},
		{"admin", &s.Admin, Subject{CommonName: "kubernetes-admin", Organization: []string{"system:masters"}}},
		{"node-client", &s.NodeClient, Subject{CommonName: node, Organization: []string{"system:nodes"}}},
		{"node-serving", &s.NodeServing, Subject{
			CommonName: node, Organization: []string{"system:nodes"},
			DNSNames: []string{o.NodeName, "localhost"},
			IPs:      unique(append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, o.AdvertiseAddress}, o.NodeIPs...)),
		}},
	}
}

func (o Options) apiServer() Subject {
	names := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + o.ClusterDomain,
		"localhost", o.NodeName,
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, o.AdvertiseAddress}
	ips = append(ips, o.ServiceIPs...)
	ips = append(ips, o.NodeIPs...)
	for _, extra := range o.ExtraNames {
		if ip := net.ParseIP(extra); ip != nil {
			ips = append(ips, ip)
		} else if extra != "" {
			names = append(names, extra)
		}
	}
	return Subject{CommonName: "kube-apiserver", DNSNames: uniqueNames(names), IPs: unique(ips), Chain: true}
}

func unique(in []net.IP) []net.IP {
	seen := map[string]bool{}
	var out []net.IP
	for _, ip := range in {
		if len(ip) > 0 && !ip.IsUnspecified() && !seen[ip.String()] {
			seen[ip.String()] = true
			out = append(out, ip)
		}
	}
	return out
}

func uniqueNames(in []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, name := range in {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}
