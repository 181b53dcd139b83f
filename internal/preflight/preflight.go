// Package preflight looks at the machine before Berth starts and says, in one
// line each, what is in the way and what to do about it.
package preflight

import (
	"fmt"
	"strings"
)

// Config says what is going to be started.
type Config struct {
	DataDir string
	// Ports are the addresses to be listened on, with what for.
	Ports []Port
	// Agent is set when pods are to run here: that needs root and a kernel
	// with namespaces, overlay file systems, nftables and cgroups.
	Agent bool
	// Seccomp tells whether the bundle's runc can filter system calls; nil
	// when that is not known.
	Seccomp *bool
}

// Port is one address to be listened on.
type Port struct {
	Name    string // "API server"
	Flag    string // the option that changes it, "--https-port"
	Address string // an IP, empty for all
	Port    int
}

// Finding is one thing that is wrong or worth knowing.
type Finding struct {
	// Fatal findings keep Berth from starting.
	Fatal bool
	// Check is its short name: "root", "port", "data-dir", …
	Check string
	// Text is one line: what is wrong, and what to do.
	Text string
}

func (f Finding) String() string { return f.Text }

// Facts is what the machine can do, for those who configure the runtime.
type Facts struct {
	// CgroupVersion is 1, 2, or 0 when no cgroups are mounted.
	CgroupVersion int
	// CgroupControllers are those that can limit pods.
	CgroupControllers []string
	// OOMAdjust tells whether oom_score_adj may be lowered (CAP_SYS_RESOURCE);
	// without it containerd needs restrict_oom_score_adj.
	OOMAdjust bool
	// Root tells whether we are the superuser.
	Root bool
}

// Report is the result of all checks.
type Report struct {
	Facts    Facts
	Findings []Finding
}

// Err is nil when nothing keeps Berth from starting, else one line for each
// thing that does.
func (r Report) Err() error {
	var lines []string
	for _, f := range r.Findings {
		if f.Fatal {
			lines = append(lines, f.Text)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}

// Warnings are the findings that do not keep Berth from starting.
func (r Report) Warnings() []string {
	var lines []string
	for _, f := range r.Findings {
		if !f.Fatal {
			lines = append(lines, f.Text)
		}
	}
	return lines
}

// Run checks this machine.
func Run(cfg Config) Report { return check(cfg, Machine()) }

// check asks the probes and judges.
func check(cfg Config, p Probes) Report {
	r := Report{Facts: Facts{Root: p.UID() == 0, OOMAdjust: p.Capability(capSysResource)}}
	r.Facts.CgroupVersion, r.Facts.CgroupControllers = p.Cgroups()
	fatal := func(check, format string, args ...any) {
		r.Findings = append(r.Findings, Finding{true, check, fmt.Sprintf(format, args...)})
	}
	warn := func(check, format string, args ...any) {
		r.Findings = append(r.Findings, Finding{false, check, fmt.Sprintf(format, args...)})
	}
	if cfg.Agent && !r.Facts.Root {
		fatal("root", "berth must run as root to start containers: run it with sudo, or with --disable-agent to run the control plane only")
	}
	if err := p.Writable(cfg.DataDir); err != nil {
		fatal("data-dir", "the data directory %s cannot be written: %v; make it writable or choose another one with --data-dir", cfg.DataDir, err)
	}
	for _, port := range cfg.Ports {
		if err := p.Listen(port.Address, port.Port); err != nil {
			fatal("port", "%s", portTaken(port, err, p.Holder(port.Port)))
		}
	}
	if cfg.Agent && r.Facts.Root {
		checkKernel(p, r.Facts, fatal, warn)
		if cfg.Seccomp != nil && !*cfg.Seccomp {
			warn("seccomp", "runc was built without seccomp: pods with a seccomp profile (RuntimeDefault) will not start; build the bundle with libseccomp-dev installed")
		}
	}
	return r
}

func portTaken(port Port, err error, holder string) string {
	where := fmt.Sprintf("port %d", port.Port)
	if port.Address != "" {
		where += " on " + port.Address
	}
	if holder == "" {
		return fmt.Sprintf("the %s cannot listen on %s: %v; stop what holds it or choose another one with %s", port.Name, where, err, port.Flag)
	}
	return fmt.Sprintf("the %s cannot listen on %s: %s holds it; stop that or choose another one with %s", port.Name, where, holder, port.Flag)
}

// checkKernel wants what containers, their network and their limits need.
func checkKernel(p Probes, facts Facts, fatal, warn func(check, format string, args ...any)) {
	if !p.Filesystem("overlay") {
		fatal("overlayfs", "the kernel has no overlay file system, which images need: load it with `modprobe overlay` or use a kernel with CONFIG_OVERLAY_FS")
	}
	if err := p.Nftables(); err != nil {
		fatal("nftables", "the kernel cannot filter packets with nftables (%v), which services need: load it with `modprobe nf_tables` or use a kernel with CONFIG_NF_TABLES", err)
	}
	if err := p.Veth(); err != nil {
		fatal("veth", "the kernel cannot make veth links (%v), which pods need: load it with `modprobe veth` or use a kernel with CONFIG_VETH", err)
	}
	if err := p.Openat2(); err != nil {
		fatal("kernel", "the kernel is older than 5.6 (%v): subPath volumes cannot be mounted safely; use a newer one", err)
	}
	if facts.CgroupVersion == 0 {
		fatal("cgroups", "no cgroups are mounted at /sys/fs/cgroup: mount them with `mount -t cgroup2 none /sys/fs/cgroup`")
	} else {
		for _, want := range []string{"cpu", "memory", "pids"} {
			if !has(facts.CgroupControllers, want) {
				warn("cgroups", "the cgroup controller %s is not there: limits of that kind will not hold; boot with cgroup_enable=%s if the kernel has it", want, want)
			}
		}
	}
	if err := p.Forwarding(); err != nil {
		fatal("ip_forward", "packets cannot be forwarded to pods: net.ipv4.ip_forward cannot be set: %v; run `sysctl -w net.ipv4.ip_forward=1`", err)
	}
	if err := p.Hosts(); err != nil {
		fatal("hosts", "%v: the container runtime gives every pod a copy of it; create it with `echo 127.0.0.1 localhost > /etc/hosts`", err)
	}
	if !facts.OOMAdjust {
		warn("oom", "CAP_SYS_RESOURCE is missing: the kernel will not be told which pods to spare when memory runs out")
	}
}

func has(list []string, want string) bool {
	for _, one := range list {
		if one == want {
			return true
		}
	}
	return false
}
