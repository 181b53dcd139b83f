package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/rest"

	"berth.dev/berth/internal/apiserver"
	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/base/group"
	"berth.dev/berth/internal/base/memory"
	"berth.dev/berth/internal/datastore"
	"berth.dev/berth/internal/keyring"
	"berth.dev/berth/internal/member"
	"berth.dev/berth/internal/network/link"
	"berth.dev/berth/internal/pki"
	"berth.dev/berth/internal/preflight"
	"berth.dev/berth/internal/snapshot"
)

// server is one instance on its way from Config to running parts. Fields below
// the line are set by a unit before it reports ready, and read by units after it.
type server struct {
	cfg      Config
	dir      datadir.Dir
	log      *slog.Logger
	facts    preflight.Facts
	nodeName string
	nodeIPs  []netip.Addr
	cluster  []netip.Prefix
	services []netip.Prefix
	dns      []netip.Addr
	pki      *pki.Set // nil on a machine that joined
	// joined is set on a machine whose servers run elsewhere.
	joined *joined
	// nodeReady is closed when this node is first Ready (or there is no agent):
	// work that can wait, waits for it.
	nodeReady chan struct{}
	// keysLater is set when the datastore is to get the cluster's keys.
	keysLater *keyring.Config
	// ---
	api *apiserver.Server
	// store may be open already when the units start.
	store *datastore.Store
	// report is how scheduled snapshots get on, nil when there are none.
	report *snapshot.Report
}

// Run runs a server until ctx is done. ready is called once everything serves
// and this node can run pods. Errors are one line that says what to do.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func()) error {
	s, release, err := prepare(ctx, cfg, nil, log)
	if err != nil {
		return err
	}
	defer release()
	units := s.controlPlane()
	if !cfg.DisableAgent {
		agent, err := s.agent()
		if err != nil {
			return err
		}
		units = append(units, agent...)
	} else {
		close(s.nodeReady)
	}
	return group.Run(ctx, ready, append(units, memoryUnit)...)
}

var memoryUnit = group.Unit{Name: "memory", Run: func(ctx context.Context, ready func()) error {
	ready()
	memory.Pace(ctx)
	memory.TrimWhenIdle(ctx)
	return nil
}}

// prepare checks configuration and machine, takes the data directory and makes
// the certificates.
func prepare(ctx context.Context, cfg Config, elsewhere *joined, log *slog.Logger) (*server, func(), error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	dir, err := datadir.New(cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	s := &server{cfg: cfg, dir: dir, log: log, joined: elsewhere, nodeReady: make(chan struct{})}
	// The lock comes first: a second server must hear about the first one, not
	// about the port that it has taken.
	if holder := Holder(dir); holder != 0 {
		return nil, nil, inUse(dir, holder)
	}
	if err := s.look(); err != nil {
		return nil, nil, err
	}
	if err := dir.Create(); err != nil {
		return nil, nil, fmt.Errorf("data directory: %w; choose a writable one with --data-dir", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, nil, err
	}
	if s.joined != nil {
		return s, unlock, nil
	}
	release := func() { // runAPI closes the datastore otherwise
		if s.store != nil {
			_ = s.store.Close()
		}
		unlock()
	}
	if err = s.shareKeys(ctx); err == nil {
		err = s.certificates()
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return s, release, nil
}

// look checks the machine and fills in what the configuration left open.
func (s *server) look() error {
	var ports []preflight.Port
	if s.joined == nil {
		ports = append(ports, preflight.Port{Name: "API server", Flag: "--https-port", Address: s.cfg.BindAddress, Port: s.cfg.HTTPSPort})
		if m, err := member.Read(s.dir.Member()); err == nil && m.State != "" || len(s.cfg.Servers) > 0 {
			ports = append(ports, preflight.Port{Name: "datastore", Flag: "--peer-port", Address: s.cfg.BindAddress, Port: s.cfg.PeerPort})
		}
	}
	if !s.cfg.DisableAgent {
		ports = append(ports, preflight.Port{Name: "node agent", Flag: "--agent-port", Port: s.cfg.AgentPort})
	}
	report := preflight.Run(preflight.Config{DataDir: s.dir.Path(), Ports: ports, Agent: !s.cfg.DisableAgent})
	for _, f := range report.Findings {
		if f.Fatal {
			return errors.New(f.Text) // the first one; those after it often follow from it
		}
		s.log.Info(f.Text, "check", f.Check)
	}
	s.facts = report.Facts
	var err error
	if s.nodeName, err = s.cfg.nodeName(); err != nil {
		return err
	}
	if err := s.ranges(); err != nil {
		return err
	}
	if !s.cfg.DisableAgent { // before anything is begun
		if err := (link.Node{PodCIDRs: s.cluster, ServiceCIDRs: s.services, Local: s.dns}).Clash(); err != nil {
			if !s.begun() {
				return err
			}
			s.log.Warn("some of the machine's neighbours cannot be reached from here", "error", err)
		}
	}
	for _, ip := range s.cfg.NodeIPs {
		s.nodeIPs = append(s.nodeIPs, netip.MustParseAddr(ip))
	}
	if len(s.nodeIPs) == 0 {
		uplink, err := link.FindUplink()
		if err != nil {
			return err
		}
		s.nodeIPs = uplink.IPs
	}
	return nil
}

// begun tells whether this machine has had pods.
func (s *server) begun() bool {
	_, err := os.Stat(s.dir.CNIConf())
	return err == nil
}

// ranges are what all nodes of the cluster agree on.
func (s *server) ranges() (err error) {
	if s.cluster, err = prefixes(s.cfg.ClusterCIDRs); err != nil {
		return err
	}
	if s.services, err = prefixes(s.cfg.ServiceCIDRs); err != nil {
		return err
	}
	s.dns = nil
	for _, p := range s.services {
		s.dns = append(s.dns, nth(p, 10))
	}
	return nil
}

// certificates makes the keys and the administrator's kubeconfig.
func (s *server) certificates() error {
	var nodeIPs, serviceIPs []net.IP
	for _, a := range s.nodeIPs {
		nodeIPs = append(nodeIPs, a.AsSlice())
	}
	for _, p := range s.services {
		serviceIPs = append(serviceIPs, nth(p, 1).AsSlice())
	}
	var err error
	s.pki, err = pki.Ensure(s.dir.PKI(), pki.Options{
		NodeName: s.nodeName, ClusterDomain: s.cfg.ClusterDomain, ServiceIPs: serviceIPs,
		AdvertiseAddress: s.advertise().AsSlice(), NodeIPs: nodeIPs, ExtraNames: s.cfg.TLSSANs,
	})
	if err != nil {
		return err
	}
	// The loopback address works wherever the server listens on all addresses.
	at := "127.0.0.1"
	if bind := net.ParseIP(s.cfg.BindAddress); !bind.IsUnspecified() {
		at = s.cfg.BindAddress
	}
	return pki.WriteKubeconfig(s.dir.Kubeconfig(), pki.Kubeconfig{
		Server: fmt.Sprintf("https://%s", net.JoinHostPort(at, fmt.Sprint(s.cfg.HTTPSPort))),
		CAPEM:  s.pki.CA.CertPEM, Client: s.pki.Admin,
	})
}

// advertise is where others reach the API server.
func (s *server) advertise() netip.Addr {
	if s.cfg.AdvertiseAddress != "" {
		return netip.MustParseAddr(s.cfg.AdvertiseAddress)
	}
	return s.nodeIPs[0]
}

// as is a client configuration for an identity, over the in-memory transport.
// On a machine that joined all parts are the node.
func (s *server) as(user string, groups ...string) *rest.Config {
	if s.joined != nil {
		return s.joined.identity.Config()
	}
	return s.api.ClientConfig(user, groups...)
}

func (s *server) enabled(part string) bool { return !slices.Contains(s.cfg.Disable, part) }

// bundle is where containerd and the rest lie: beside the program unless set.
func (c Config) bundle() (string, error) {
	if c.BundleDir != "" {
		return filepath.Abs(c.BundleDir)
	}
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(program), "bundle"), nil
}

// nth is the n-th address of a prefix, counted from its network address.
func nth(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}
