package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server/flagz"
	cliflag "k8s.io/component-base/cli/flag"
	"sigs.k8s.io/yaml"
)

// BindFlags adds a flag for each field of c, with c's values as defaults.
func (c *Config) BindFlags(f *pflag.FlagSet) {
	c.bindMachine(f)

	f.IntVar(&c.HTTPSPort, "https-port", c.HTTPSPort, "port of the Kubernetes API")
	f.StringVar(&c.BindAddress, "bind-address", c.BindAddress, "address that the Kubernetes API listens on")
	f.StringVar(&c.AdvertiseAddress, "advertise-address", c.AdvertiseAddress, "address that others reach the API at (default: the node's)")
	f.StringSliceVar(&c.TLSSANs, "tls-san", c.TLSSANs, "more host names or addresses for the server certificate")

	f.StringSliceVar(&c.ClusterCIDRs, "cluster-cidr", c.ClusterCIDRs, "range of pod addresses; for dual stack one IPv4 and one IPv6 range")
	f.StringSliceVar(&c.ServiceCIDRs, "service-cidr", c.ServiceCIDRs, "range of service addresses; for dual stack one IPv4 and one IPv6 range")
	f.StringVar(&c.ClusterDomain, "cluster-domain", c.ClusterDomain, "DNS domain of the cluster")
	f.StringSliceVar(&c.LoadBalancerPool, "load-balancer-pool", c.LoadBalancerPool, "addresses for services of type LoadBalancer, as 192.0.2.240-192.0.2.250 or 192.0.2.240/28; your network has to lead them to a node (default: none, such services wait for somebody else to give them one)")

	f.StringSliceVar(&c.DatastoreEndpoints, "datastore-endpoint", c.DatastoreEndpoints, "URLs of an existing etcd cluster (default: embedded)")
	f.StringVar(&c.DatastoreCAFile, "datastore-cafile", c.DatastoreCAFile, "CA of the etcd cluster")
	f.StringVar(&c.DatastoreCertFile, "datastore-certfile", c.DatastoreCertFile, "client certificate for the etcd cluster")
	f.StringVar(&c.DatastoreKeyFile, "datastore-keyfile", c.DatastoreKeyFile, "key of that certificate")

	f.StringSliceVar(&c.Servers, "server", c.Servers, "URLs of servers of the cluster whose embedded datastore this server joins, https://ADDRESS:6443; not needed once it has (default: a cluster of its own)")
	f.IntVar(&c.PeerPort, "peer-port", c.PeerPort, "port that servers with an embedded datastore meet on, once there are several")

	f.StringVar(&c.SnapshotSchedule, "snapshot-schedule", c.SnapshotSchedule, "when copies of the embedded datastore are taken, as a CronJob's schedule, in the machine's time zone; empty for never")
	f.IntVar(&c.SnapshotRetention, "snapshot-retention", c.SnapshotRetention, "scheduled snapshots that are kept")
	f.StringVar(&c.SnapshotDir, "snapshot-dir", c.SnapshotDir, "folder of snapshots, best on another disk (default: snapshots in the data directory)")
	c.SnapshotS3.BindFlags(f)
	c.SnapshotS3.BindRetention(f)

	f.StringVar(&c.Token, "token", c.Token, "server token: opens the cluster's keys in the datastore (default: the one in DIR/server-token, made at the first start); others see it in the list of processes")
	f.StringVar(&c.TokenFile, "token-file", c.TokenFile, "file with the server token")

	c.API.bindFlags(f)
	f.DurationVar(&c.ClusterSigningDuration, "cluster-signing-duration", c.ClusterSigningDuration, "longest life of the certificates that are asked for through the API")

	f.BoolVar(&c.StickyAddresses, "sticky-addresses", c.StickyAddresses, "the pod of a StatefulSet keeps its addresses when it is made again")
	f.IntVar(&c.TerminatedPods, "terminated-pod-gc-threshold", c.TerminatedPods, "pods that may have ended before the oldest of them are deleted; 0 keeps all")
	f.StringToStringVar(&c.SchedulerProfiles, "scheduler-profile", c.SchedulerProfiles, "more values of spec.schedulerName to serve, each with how it scores nodes: NAME="+strings.Join(Scorings, " or NAME="))

	f.BoolVar(&c.DisableAgent, "disable-agent", c.DisableAgent, "control plane only: this machine runs no pods")
}

// bindMachine adds the flags that a machine without a control plane has too.
func (c *Config) bindMachine(f *pflag.FlagSet) {
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "folder that everything of this instance hangs off")
	f.StringVar(&c.BundleDir, "bundle-dir", c.BundleDir, "folder with containerd, runc and the CNI plugins (default: bundle/ beside the program)")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "error, warn, info or debug")

	f.StringVar(&c.NodeName, "node-name", c.NodeName, "name of this node (default: the host name)")
	f.StringSliceVar(&c.NodeIPs, "node-ip", c.NodeIPs, "addresses of this node (default: those of the interface with the default route)")

	f.StringVar(&c.ContainerRuntimeEndpoint, "container-runtime-endpoint", c.ContainerRuntimeEndpoint, "CRI socket of a container runtime of your own (default: the bundle's containerd)")
	f.StringSliceVar(&c.Disable, "disable", c.Disable, "parts to leave out: "+strings.Join(Parts, ", "))

	f.IntVar(&c.AgentPort, "agent-port", c.AgentPort, "port that the node agent serves logs and exec on")
	f.IntVar(&c.MaxPods, "max-pods", c.MaxPods, "pods that this node may run")
	f.IntVar(&c.ImageGCHigh, "image-gc-high-threshold", c.ImageGCHigh, "percent of the disk in use from which on images that nobody uses are removed; 100 never removes any")
	f.IntVar(&c.ImageGCLow, "image-gc-low-threshold", c.ImageGCLow, "percent of the disk in use at which removing images ends")
	f.DurationVar(&c.ImageTTL, "minimum-image-ttl-duration", c.ImageTTL, "how long an unused image is kept at least")
	f.StringVar(&c.LogMaxSize, "container-log-max-size", c.LogMaxSize, "how long the log of a container grows before a new one is begun")
	f.IntVar(&c.LogMaxFiles, "container-log-max-files", c.LogMaxFiles, "logs that are kept of a container")
	f.StringToStringVar(&c.SystemReserved, "system-reserved", c.SystemReserved, "resources kept for the system, cpu=100m,memory=200Mi")
	f.StringToStringVar(&c.KubeReserved, "kube-reserved", c.KubeReserved, "resources kept for berth itself")
	f.DurationVar(&c.ShutdownGrace, "shutdown-grace-period", c.ShutdownGrace, "how long the machine waits for its pods to end when it goes down (by systemd's logind); 0 does not wait")
	f.DurationVar(&c.ShutdownGraceCritical, "shutdown-grace-period-critical-pods", c.ShutdownGraceCritical, "the part of --shutdown-grace-period that critical pods have, after the others")
	f.StringToStringVar(&c.ShutdownGraceByPriority, "shutdown-grace-period-by-pod-priority", c.ShutdownGraceByPriority, "the same by priority instead: seconds that pods of a priority and above have, such as 0=60,1000=120,2000000000=10")
	f.StringVar(&c.PodManifestPath, "pod-manifest-path", c.PodManifestPath, "folder of static pods, a file with a v1 Pod for each (default: pod-manifests in the data directory)")
	f.StringVar(&c.KubeletPaths, "kubelet-paths", c.KubeletPaths, "show this instance's folders as /var/lib/kubelet and /var/log/{pods,containers}, where charts look for them: on, off, or auto, which is on with the default data directory")
	f.StringSliceVar(&c.UnsafeSysctls, "allowed-unsafe-sysctls", c.UnsafeSysctls, "sysctls that pods may set beside the safe ones, by name or by a pattern that ends in *, such as net.core.somaxconn,kernel.msg*")
	f.StringToStringVar(&c.EvictionHard, "eviction-hard", c.EvictionHard, "hard thresholds, which count as reserved, such as memory.available=100Mi,nodefs.available=5Gi (or 10%),nodefs.inodesFree=5%,pid.available=10%")
	f.StringToStringVar(&c.EvictionSoft, "eviction-soft", c.EvictionSoft, "soft thresholds, written as the hard ones; pods are evicted when one is met for its grace period")
	f.StringToStringVar(&c.EvictionSoftGrace, "eviction-soft-grace-period", c.EvictionSoftGrace, "grace period of each soft threshold, memory.available=1m30s")
	f.StringToStringVar(&c.EvictionReclaim, "eviction-minimum-reclaim", c.EvictionReclaim, "how much more than its threshold has to be free before evicting ends, nodefs.available=1Gi")
	f.DurationVar(&c.EvictionTransition, "eviction-pressure-transition-period", c.EvictionTransition, "how long a pressure condition of the node holds on")
	f.DurationVar(&c.FenceAfter, "fence-after", c.FenceAfter, "how long after its last renewed lease this node stops the pods of StatefulSets with the annotation berth.dev/node-loss: Replace, which are then replaced elsewhere")
	f.IntVar(&c.EvictionMaxGrace, "eviction-max-pod-grace-period", c.EvictionMaxGrace, "seconds that pods have to stop when a soft threshold is met")
}

// BindFlags adds a flag for each field of c, with c's values as defaults.
func (c *AgentConfig) BindFlags(f *pflag.FlagSet) {
	c.bindMachine(f)
	f.StringSliceVar(&c.Servers, "server", c.Servers, "URLs of servers of the cluster, https://ADDRESS:6443; one suffices")
	f.StringVar(&c.Token, "token", c.Token, "join token (berth token); not needed once the machine has joined; others see it in the list of processes")
	f.StringVar(&c.TokenFile, "token-file", c.TokenFile, "file with the join token")
}

// shown is the configuration as its flags would have it, without secrets.
func (c Config) shown() flagz.Reader {
	c.Token = ""
	f := pflag.NewFlagSet("berth", pflag.ContinueOnError)
	c.BindFlags(f)
	return flagz.NamedFlagSetsReader{FlagSets: cliflag.NamedFlagSets{FlagSets: map[string]*pflag.FlagSet{"berth": f}}}
}

// ReadFile sets every flag that the command line left alone from a YAML file
// whose keys are the flags' names. Unknown keys are errors.
func ReadFile(file string, f *pflag.FlagSet) error {
	text, err := os.ReadFile(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("configuration file %s does not exist", file)
		}
		return err
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var all []error
	for key, value := range values {
		flag := f.Lookup(key)
		switch {
		case flag == nil || key == "config":
			all = append(all, fmt.Errorf("%s: unknown key %q; keys are the flags of this command", file, key))
		case flag.Changed: // the command line wins
		default:
			if err := f.Set(key, flagText(value)); err != nil {
				all = append(all, fmt.Errorf("%s: %s: %w", file, key, err))
			}
		}
	}
	return errors.Join(all...)
}

// flagText writes a YAML value the way its flag takes it.
func flagText(value any) string {
	switch v := value.(type) {
	case []any:
		var words []string
		for _, w := range v {
			words = append(words, fmt.Sprint(w))
		}
		return strings.Join(words, ",")
	case map[string]any:
		var pairs []string
		for k, w := range v {
			pairs = append(pairs, fmt.Sprintf("%s=%v", k, w))
		}
		slices.Sort(pairs)
		return strings.Join(pairs, ",")
	case float64: // YAML numbers arrive as floats: 6443, not 6.443e+03
		if v == float64(int64(v)) {
			return fmt.Sprint(int64(v))
		}
	}
	return fmt.Sprint(value)
}
