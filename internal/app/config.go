// Package app builds one Berth server from one Config: it makes every
// component, says what needs what, and starts and stops them in that order.
package app

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"berth.dev/berth/internal/base/datadir"
	"berth.dev/berth/internal/controller/certificate"
	"berth.dev/berth/internal/controller/podgc"
	"berth.dev/berth/internal/join"
	"berth.dev/berth/internal/plan/balancer"
	"berth.dev/berth/internal/snapshot"
	"berth.dev/berth/internal/snapshot/s3"
)

// Config is everything a server can be told. Flags, the configuration file and
// the documentation have the same keys.
type Config struct {
	DataDir   string // absolute or relative; see internal/base/datadir
	BundleDir string // "" means bundle/ beside the program
	LogLevel  string // error, warn, info or debug

	HTTPSPort        int
	BindAddress      string
	AdvertiseAddress string   // "" means the node's address
	TLSSANs          []string // more names and addresses for the server certificate

	NodeName string   // "" means the machine's host name
	NodeIPs  []string // empty means the address of the default route's interface

	ClusterCIDRs  []string // at most one IPv4 and one IPv6 prefix
	ServiceCIDRs  []string
	ClusterDomain string
	// LoadBalancerPool are the ranges that Services of type LoadBalancer get their address from.
	LoadBalancerPool []string

	ContainerRuntimeEndpoint string // "" means the bundle's containerd
	DatastoreEndpoints       []string
	DatastoreCAFile          string
	DatastoreCertFile        string
	DatastoreKeyFile         string

	// Servers are URLs of servers of the cluster that this machine is to be part of;
	// one suffices to find the others.
	Servers []string
	// PeerPort is where a server with an embedded datastore meets others like it.
	PeerPort int

	// SnapshotSchedule is a cron line, "" for no scheduled copies of the embedded
	// datastore; SnapshotRetention is how many of them are kept.
	SnapshotSchedule  string
	SnapshotRetention int
	// SnapshotDir is their folder; "" means snapshots in the data directory.
	SnapshotDir string
	// SnapshotS3 is the bucket that they are copied to, if there is one.
	SnapshotS3 s3.Config

	// Token opens the keys of the cluster that this server is to be one of.
	Token, TokenFile string

	DisableAgent bool
	Disable      []string // parts to leave out, of Parts

	SchedulerProfiles map[string]string // scheduler name to how it scores, one of Scorings

	// StickyAddresses: the pod of a StatefulSet keeps its addresses when it is made again.
	StickyAddresses bool
	// TerminatedPods is how many pods that have ended are kept; 0 keeps all.
	TerminatedPods int

	MaxPods int
	// ImageGCHigh and ImageGCLow are percentages of the disk.
	ImageGCHigh, ImageGCLow int
	ImageTTL                time.Duration
	LogMaxSize              string // of one log of a container
	LogMaxFiles             int
	SystemReserved          map[string]string // resource name to quantity, taken from allocatable
	KubeReserved            map[string]string
	EvictionHard            map[string]string // signal to threshold, memory.available: 100Mi
	EvictionSoft            map[string]string
	// EvictionSoftGrace is how long each soft threshold is put up with.
	EvictionSoftGrace map[string]string
	// EvictionReclaim is how much more has to be free before it is over.
	EvictionReclaim    map[string]string
	EvictionTransition time.Duration
	EvictionMaxGrace   int

	// ShutdownGrace is how long the machine waits for its pods when it goes down,
	// ShutdownGraceCritical the part of it that critical pods have for themselves.
	ShutdownGrace, ShutdownGraceCritical time.Duration
	// ShutdownGraceByPriority says it by the priority of pods instead, in seconds.
	ShutdownGraceByPriority map[string]string

	// PodManifestPath is the folder of static pods; "" means pod-manifests in the
	// data directory.
	PodManifestPath string

	// KubeletPaths says whether the instance's folders appear where charts look
	// for a kubelet's: "on", "off", or "auto" with the default data directory.
	KubeletPaths string

	// UnsafeSysctls are what pods may set beside the safe ones.
	UnsafeSysctls []string

	API API

	// ClusterSigningDuration is the longest life of certificates that are asked
	// for through the API.
	ClusterSigningDuration time.Duration

	// FenceAfter is how long after its last renewed lease a node stops pods that may
	// be replaced elsewhere.
	FenceAfter time.Duration

	// AgentPort is where the node agent serves logs and exec.
	AgentPort int
}

// leastFence is one renewal of the lease, and one that fails.
const leastFence = 20 * time.Second

// Parts are the names that --disable takes.
var Parts = []string{"dns", "proxy", "network-policy", "local-storage"}

// Defaults is the configuration of a server that was told nothing.
func Defaults() Config {
	return Config{
		DataDir:       datadir.Default,
		LogLevel:      "warn",
		HTTPSPort:     6443,
		PeerPort:      2380,
		BindAddress:   "0.0.0.0",
		ClusterCIDRs:  []string{"10.42.0.0/16"},
		ServiceCIDRs:  []string{"10.43.0.0/16"},
		ClusterDomain: "cluster.local",
		MaxPods:       110,
		KubeletPaths:  "auto",
		ImageGCHigh:   85,
		ImageGCLow:    80,
		ImageTTL:      2 * time.Minute,
		LogMaxSize:    "10Mi",
		LogMaxFiles:   5,

		EvictionTransition: 5 * time.Minute,
		FenceAfter:         40 * time.Second,
		AgentPort:          10250,
		API:                defaultAPI(),

		ClusterSigningDuration: certificate.DefaultLife,
		TerminatedPods:         podgc.DefaultKept,
		StickyAddresses:        true,
		SnapshotSchedule:       "0 */12 * * *",
		SnapshotRetention:      5,
		SnapshotS3:             s3.Defaults(),
	}
}

// Validate reports everything that is wrong, each error naming the flag.
func (c Config) Validate() error {
	var all []error
	bad := func(flag, format string, a ...any) {
		all = append(all, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, a...)))
	}
	for flag, port := range map[string]int{"https-port": c.HTTPSPort, "agent-port": c.AgentPort, "peer-port": c.PeerPort} {
		if port < 1 || port > 65535 {
			bad(flag, "%d is not a port; use 1 to 65535", port)
		}
	}
	if net.ParseIP(c.BindAddress) == nil {
		bad("bind-address", "%q is not an IP address", c.BindAddress)
	}
	if c.AdvertiseAddress != "" && net.ParseIP(c.AdvertiseAddress) == nil {
		bad("advertise-address", "%q is not an IP address", c.AdvertiseAddress)
	}
	for _, ip := range c.NodeIPs {
		if _, err := netip.ParseAddr(ip); err != nil {
			bad("node-ip", "%q is not an IP address", ip)
		}
	}
	if c.NodeName != "" {
		for _, msg := range validation.IsDNS1123Subdomain(c.NodeName) {
			bad("node-name", "%q: %s", c.NodeName, msg)
		}
	}
	for _, msg := range validation.IsDNS1123Subdomain(c.ClusterDomain) {
		bad("cluster-domain", "%q: %s", c.ClusterDomain, msg)
	}
	clusters, err := prefixes(c.ClusterCIDRs)
	if err != nil {
		bad("cluster-cidr", "%v", err)
	}
	services, err := prefixes(c.ServiceCIDRs)
	if err != nil {
		bad("service-cidr", "%v", err)
	}
	for _, a := range clusters {
		for _, b := range services {
			if a.Overlaps(b) {
				bad("service-cidr", "%s overlaps the cluster CIDR %s; choose a range of its own", b, a)
			}
		}
	}
	balancers, err := balancer.ParsePool(c.LoadBalancerPool)
	if err != nil {
		bad("load-balancer-pool", "%v", err)
	}
	for _, p := range slices.Concat(clusters, services) {
		if balancers.Overlaps(p) {
			bad("load-balancer-pool", "%s overlaps the range %s of the cluster's pods or services; choose a range of its own", balancers, p)
		}
	}
	if !slices.Contains([]string{"error", "warn", "info", "debug"}, c.LogLevel) {
		bad("log-level", "%q: use error, warn, info or debug", c.LogLevel)
	}
	for _, part := range c.Disable {
		if !slices.Contains(Parts, part) {
			bad("disable", "%q is no part; there are %s", part, strings.Join(Parts, ", "))
		}
	}
	for _, server := range c.Servers {
		if _, err := join.Address(server); err != nil {
			bad("server", "%v", err)
		}
	}
	if c.SnapshotSchedule != "" {
		if _, err := snapshot.Parse(c.SnapshotSchedule); err != nil {
			bad("snapshot-schedule", "%v", err)
		}
		if c.SnapshotRetention < 1 {
			bad("snapshot-retention", "%d: keep 1 or more; for no snapshots give an empty --snapshot-schedule", c.SnapshotRetention)
		}
	}
	c.SnapshotS3.Check(bad)
	if c.SnapshotS3.Bucket != "" && len(c.DatastoreEndpoints) > 0 {
		bad("snapshot-s3-bucket", "not together with --datastore-endpoint: only the embedded datastore has scheduled snapshots; let the tools of your etcd copy its own")
	}
	if len(c.Servers) > 0 && len(c.DatastoreEndpoints) > 0 {
		bad("server", "not together with --datastore-endpoint: give --server to share the embedded datastore of that server, or --datastore-endpoint to share an etcd of your own")
	}
	if (c.DatastoreCertFile == "") != (c.DatastoreKeyFile == "") {
		bad("datastore-certfile", "a client certificate needs both --datastore-certfile and --datastore-keyfile")
	}
	all = append(all, c.API.check(bad)...)
	if c.ClusterSigningDuration <= 0 {
		bad("cluster-signing-duration", "%s is no time; use 8760h for a year", c.ClusterSigningDuration)
	}
	for _, name := range slices.Sorted(maps.Keys(c.SchedulerProfiles)) {
		scoring := c.SchedulerProfiles[name]
		if name == "" {
			bad("scheduler-profile", "=%s names no scheduler; use NAME=%s", scoring, strings.Join(Scorings, " or NAME="))
		} else if !slices.Contains(Scorings, scoring) {
			bad("scheduler-profile", "%s=%s; use one of %s", name, scoring, strings.Join(Scorings, ", "))
		}
	}
	if !slices.Contains([]string{"auto", "on", "off"}, c.KubeletPaths) {
		bad("kubelet-paths", "%q: use auto, on or off", c.KubeletPaths)
	}
	if c.FenceAfter < leastFence {
		bad("fence-after", "%s; at least %s, for the lease is renewed every ten seconds", c.FenceAfter, leastFence)
	}
	if c.MaxPods < 1 {
		bad("max-pods", "%d; at least 1", c.MaxPods)
	}
	c.checkKeeping(bad)
	if _, err := c.shutdownPeriods(); err != nil {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// checkKeeping checks how many images and logs are kept.
func (c Config) checkKeeping(bad func(flag, format string, args ...any)) {
	if c.ImageGCHigh < 0 || c.ImageGCHigh > 100 {
		bad("image-gc-high-threshold", "%d; a number of percent", c.ImageGCHigh)
	}
	if c.ImageGCLow < 0 || c.ImageGCLow >= c.ImageGCHigh {
		bad("image-gc-low-threshold", "%d; at least 0 and less than --image-gc-high-threshold, which is %d", c.ImageGCLow, c.ImageGCHigh)
	}
	if _, err := c.logMaxSize(); err != nil {
		bad("container-log-max-size", "%v", err)
	}
	if c.LogMaxFiles < 2 {
		bad("container-log-max-files", "%d; at least 2", c.LogMaxFiles)
	}
}

// logMaxSize is a number of bytes.
func (c Config) logMaxSize() (int64, error) {
	q, err := resource.ParseQuantity(c.LogMaxSize)
	if err != nil || q.Value() < 1 || q.Value() > 1<<40 {
		return 0, fmt.Errorf("%q is no size; use 10Mi, for instance", c.LogMaxSize)
	}
	return q.Value(), nil
}

// prefixes parses CIDRs: one, or one of each family.
func prefixes(cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a CIDR such as 10.42.0.0/16", s)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("%s has host bits set; use %s", s, p.Masked())
		}
		out = append(out, p)
	}
	switch {
	case len(out) == 0:
		return nil, errors.New("at least one CIDR is needed")
	case len(out) > 2, len(out) == 2 && out[0].Addr().Is4() == out[1].Addr().Is4():
		return nil, errors.New("give one CIDR, or one IPv4 and one IPv6 CIDR")
	}
	return out, nil
}

// nodeName is the configured name, or the machine's in the form the API wants.
func (c Config) nodeName() (string, error) {
	if c.NodeName != "" {
		return c.NodeName, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	name := strings.ToLower(strings.TrimSpace(host))
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return "", fmt.Errorf("the host name %q cannot be a node name: %s; set --node-name", host, msgs[0])
	}
	return name, nil
}
