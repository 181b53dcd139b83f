// Package datadir names every file and folder that one Berth instance keeps.
// Everything hangs off one directory, so that several instances can run on one
// machine and removing the directory removes the instance.
package datadir

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// Default is where an instance lives unless --data-dir says otherwise.
const Default = "/var/lib/berth"

// longestRun keeps DIR/run/<socket> below the 107 bytes of a unix socket
// address, and below the 42 bytes that containerd allows its shims' folder.
const longestRun = 40

// Dir is the data directory of one instance, an absolute path.
type Dir string

// New makes path absolute.
func New(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	return Dir(abs), err
}

// ID is eight hex digits that tell this instance from others on the machine;
// it names cgroup parents, CNI networks and nftables tables.
func (d Dir) ID() string {
	sum := sha256.Sum256([]byte(d))
	return hex.EncodeToString(sum[:4])
}

func (d Dir) join(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// Path returns DIR itself.
func (d Dir) Path() string { return string(d) }

// Lock is the file whose flock says that a server runs on this directory.
func (d Dir) Lock() string { return d.join("lock") }

// Instance holds a name that is this instance's in every run.
func (d Dir) Instance() string { return d.join("instance") }

// Kubeconfig is the administrator's kubeconfig.
func (d Dir) Kubeconfig() string { return d.join("kubeconfig") }

// PKI holds certificates and keys (0700).
func (d Dir) PKI() string { return d.join("pki") }

// ServerToken holds what opens the cluster's keys in the datastore.
func (d Dir) ServerToken() string { return d.join("server-token") }

// Etcd holds the embedded datastore.
func (d Dir) Etcd() string { return d.join("etcd") }

// Snapshots holds copies of the embedded datastore.
func (d Dir) Snapshots() string { return d.join("snapshots") }

// Member says how far this server is with being one of several.
func (d Dir) Member() string { return d.join("member.json") }

// Containerd holds the runtime's root, state, configuration and log.
func (d Dir) Containerd() string { return d.join("containerd") }

// CNIConf holds the one network configuration that the runtime reads.
func (d Dir) CNIConf() string { return d.join("cni", "conf") }

// CNICache is where CNI results of delegated plugins are kept.
func (d Dir) CNICache() string { return d.join("cni", "cache") }

// Network records which routes and addresses the instance made in the kernel.
func (d Dir) Network() string { return d.join("network.json") }

// Volumes holds one folder per PersistentVolume of the local provisioner.
func (d Dir) Volumes() string { return d.join("volumes") }

// Kubelet is the node agent's root (upstream's /var/lib/kubelet).
func (d Dir) Kubelet() string { return d.join("kubelet") }

// PodManifests holds the files that describe static pods.
func (d Dir) PodManifests() string { return d.join("pod-manifests") }

// PodLogs holds <namespace>_<pod>_<uid>/<container>/<n>.log.
func (d Dir) PodLogs() string { return d.join("log", "pods") }

// LogsOf holds the logs of one pod.
func (d Dir) LogsOf(namespace, name, uid string) string {
	return filepath.Join(d.PodLogs(), namespace+"_"+name+"_"+uid)
}

// Run holds sockets. When DIR is too long for socket addresses it is
// /run/berth/<ID>, and DIR/run is a link to it.
func (d Dir) Run() string {
	if inside := d.join("run"); len(inside) <= longestRun {
		return inside
	}
	return filepath.Join("/run/berth", d.ID())
}

// RuntimeSocket is containerd's socket.
func (d Dir) RuntimeSocket() string { return filepath.Join(d.Run(), "containerd.sock") }

// CRISocket is containerd's second socket, for the node agent: a call made on
// it is finished also when the agent dies.
func (d Dir) CRISocket() string { return filepath.Join(d.Run(), "cri.sock") }

// CNISocket is where the CNI plugin asks the node agent.
func (d Dir) CNISocket() string { return filepath.Join(d.Run(), "cni.sock") }

// Fence is what the node agent and the process berth-fence share.
func (d Dir) Fence() string { return filepath.Join(d.Run(), "fence") }

// Create makes the directory and the run folder with its link. Everything in it
// is closed to other users, but they may pass through: root of a pod with a user
// namespace of its own is one of them, and its files lie below.
func (d Dir) Create() error {
	if err := os.MkdirAll(string(d), 0o711); err != nil {
		return err
	}
	for _, inside := range []string{d.Kubelet(), d.join("log"), d.Volumes()} {
		if err := os.MkdirAll(inside, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(inside, 0o700); err != nil { // former versions left it to DIR
			return err
		}
	}
	if info, err := os.Stat(string(d)); err == nil && info.Mode().Perm() == 0o700 { // the same
		if err := os.Chmod(string(d), 0o711); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(d.Run(), 0o711); err != nil {
		return err
	}
	if inside := d.join("run"); d.Run() != inside {
		if to, err := os.Readlink(inside); err == nil && to == d.Run() {
			return nil
		}
		_ = os.Remove(inside)
		return os.Symlink(d.Run(), inside)
	}
	return nil
}
