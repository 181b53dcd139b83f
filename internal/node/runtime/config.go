package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"berth.dev/berth/internal/base/datadir"
)

// PauseImage is the sandbox image that the bundle brings.
const PauseImage = "berth.dev/pause:1"

// Config says how an instance's containerd is set up.
type Config struct {
	Dir datadir.Dir
	// BundleDir holds containerd, its shim, runc and cni/.
	BundleDir string
	// RestrictOOMScore is set where the process may not lower oom_score_adj
	// (no CAP_SYS_RESOURCE): without it every sandbox would fail to start.
	RestrictOOMScore bool
}

// Complete tells whether the bundle holds what a node needs, and what to do if not.
func (c Config) Complete() error {
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "runc", "cni/berth-cni"} {
		if _, err := os.Stat(filepath.Join(c.BundleDir, name)); err != nil {
			return fmt.Errorf("the bundle is incomplete: %w; run `make build`, or point --bundle-dir at it", err)
		}
	}
	return nil
}

// Tasks is the folder below which containerd mounts containers.
func (c Config) Tasks() string {
	return filepath.Join(c.state(), "io.containerd.runtime.v2.task", "k8s.io")
}

func (c Config) root() string      { return filepath.Join(c.Dir.Containerd(), "root") }
func (c Config) state() string     { return filepath.Join(c.Dir.Containerd(), "state") }
func (c Config) file() string      { return filepath.Join(c.Dir.Containerd(), "config.toml") }
func (c Config) log() string       { return filepath.Join(c.Dir.Containerd(), "containerd.log") }
func (c Config) record() string    { return filepath.Join(c.Dir.Containerd(), "process.json") }
func (c Config) boot() string      { return filepath.Join(c.Dir.Containerd(), "boot-id") }
func (c Config) shimSocks() string { return filepath.Join(c.Dir.Run(), "s") }

// CertsDir is where hosts.toml files for registries live (mirrors, private CAs).
func (c Config) CertsDir() string { return filepath.Join(c.Dir.Containerd(), "certs.d") }

// render is containerd's configuration (its version 4 format). Everything it
// writes lies below the data directory.
func (c Config) render() string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("version = 4")
	line("root = %q", c.root())
	line("state = %q", c.state())
	line("imports = []")
	line("disabled_plugins = [%s]", quoted(
		"io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.blockfile",
		"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
		"io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
		"io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
		"io.containerd.monitor.container.v1.restart"))
	line("[plugins]")
	line("[plugins.'io.containerd.server.v1.grpc']\naddress = %q", c.Dir.RuntimeSocket())
	line("[plugins.'io.containerd.server.v1.cri']\naddress = %q", c.Dir.CRISocket())
	line("[plugins.'io.containerd.server.v1.ttrpc']\naddress = %q", c.Dir.RuntimeSocket()+".ttrpc")
	line("[plugins.'io.containerd.shim.v1.manager']\nsocket_dir = %q", c.shimSocks())
	line("[plugins.'io.containerd.internal.v1.opt']\npath = %q", filepath.Join(c.Dir.Containerd(), "opt"))
	line("[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'overlayfs'\nstats_collect_period = 300")
	line("[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = %q", PauseImage)
	line("[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = %q", c.CertsDir())
	line("[plugins.'io.containerd.cri.v1.runtime']")
	// Network namespaces are mounted below our own state, not in a shared folder.
	line("netns_mounts_under_state_dir = true")
	line("restrict_oom_score_adj = %t", c.RestrictOOMScore)
	// Else every shim is asked each second for its containers' processor time, to
	// work out a rate that nobody here reads.
	line("stats_collect_period = '24h'")
	line("enable_criu = false")
	// Limits of huge pages are set where the kernel has them.
	line("disable_hugetlb_controller = false\ntolerate_missing_hugetlb_controller = true")
	line("[plugins.'io.containerd.cri.v1.runtime'.cni]")
	line("bin_dirs = [%q]\nconf_dir = %q\nmax_conf_num = 1", filepath.Join(c.BundleDir, "cni"), c.Dir.CNIConf())
	line("use_internal_loopback = true")
	line("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]")
	line("runtime_type = 'io.containerd.runc.v2'\nruntime_path = %q", filepath.Join(c.BundleDir, "containerd-shim-runc-v2"))
	line("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]")
	line("BinaryName = %q\nRoot = %q\nSystemdCgroup = false", filepath.Join(c.BundleDir, "runc"), filepath.Join(c.Dir.Containerd(), "runc"))
	return b.String()
}

func quoted(words ...string) string {
	for i, w := range words {
		words[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(words, ", ")
}
