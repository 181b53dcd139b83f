package preflight

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const capSysResource = unix.CAP_SYS_RESOURCE

// Probes are the questions to the machine, each a small function.
type Probes struct {
	UID        func() int
	Capability func(capability int) bool
	Cgroups    func() (version int, controllers []string)
	Writable   func(dir string) error
	Listen     func(address string, port int) error
	Holder     func(port int) string
	Filesystem func(name string) bool
	Nftables   func() error
	Veth       func() error
	Openat2    func() error
	Forwarding func() error
	Hosts      func() error
}

// Machine asks the real one.
func Machine() Probes {
	return Probes{
		UID:        os.Geteuid,
		Capability: hasCapability,
		Cgroups:    func() (int, []string) { return cgroups("/sys/fs/cgroup", "/proc/self/mountinfo") },
		Writable:   writable,
		Listen:     listen,
		Holder:     func(port int) string { return holder("/proc", port) },
		Filesystem: hasFilesystem,
		Nftables:   hasNftables,
		Veth:       hasVeth,
		Openat2:    hasOpenat2,
		Forwarding: func() error { return canForward("/proc/sys/net/ipv4/ip_forward") },
		Hosts:      func() error { _, err := os.Stat("/etc/hosts"); return err },
	}
}

func hasCapability(capability int) bool {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && set&(1<<capability) != 0
		}
	}
	return false
}

// writable makes the directory where it is missing and a file in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return reason(err)
	}
	f, err := os.CreateTemp(dir, ".write-test-")
	if err != nil {
		return reason(err)
	}
	_, err = f.WriteString("x")
	return reason(errors.Join(err, f.Close(), os.Remove(f.Name())))
}

// reason leaves the operation and the path out: the line names them already.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func listen(address string, port int) error {
	ln, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err == nil {
		return ln.Close()
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

func hasFilesystem(name string) bool {
	if listed(name) {
		return true
	}
	// The kernel loads a file system's module when it is asked for it.
	dir, err := os.MkdirTemp("", "berth-preflight-")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if unix.Mount("none", dir, name, 0, "") == nil {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
	return listed(name)
}

func listed(filesystem string) bool {
	data, _ := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == filesystem {
			return true
		}
	}
	return false
}

// hasNftables lists the tables, which needs the subsystem and changes nothing.
func hasNftables() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	_, err = c.ListTables()
	return err
}

// hasVeth asks for a pair of links with an MTU that cannot be: a kernel that
// knows veth says so and makes nothing, another one says it knows no such kind.
func hasVeth() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "berthpf" + strconv.Itoa(os.Getpid()%100000)
	attrs.MTU = 1
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: attrs.Name + "p"}
	err := netlink.LinkAdd(link)
	switch {
	case err == nil:
		return netlink.LinkDel(link)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return nil
	}
	return err
}

func hasOpenat2() error {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// canForward tells whether forwarding is on or can be turned on, and leaves it
// as it is: pods' packets pass through this machine.
func canForward(file string) error {
	data, err := os.ReadFile(file)
	if err == nil && strings.TrimSpace(string(data)) == "1" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return reason(err)
	}
	return f.Close()
}

// cgroups finds the version in use and the controllers that can limit pods.
func cgroups(root, mountinfo string) (version int, controllers []string) {
	if data, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		return 2, strings.Fields(string(data))
	}
	data, err := os.ReadFile(mountinfo)
	if err != nil {
		return 0, nil
	}
	for line := range strings.Lines(string(data)) {
		// "… - cgroup cgroup rw,cpu,cpuacct": the file system's kind and options.
		_, behind, ok := strings.Cut(line, " - cgroup ")
		if !ok {
			continue
		}
		fields := strings.Fields(behind)
		for _, option := range strings.Split(fields[len(fields)-1], ",") {
			if option != "rw" && option != "ro" && !strings.HasPrefix(option, "name=") {
				controllers = append(controllers, option)
			}
		}
	}
	if len(controllers) == 0 {
		return 0, nil
	}
	return 1, controllers
}
