package preflight

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// fine is a machine where everything is as it should be.
func fine() Probes {
	ok := func() error { return nil }
	return Probes{
		UID:        func() int { return 0 },
		Capability: func(int) bool { return true },
		Cgroups:    func() (int, []string) { return 2, []string{"cpu", "memory", "pids"} },
		Writable:   func(string) error { return nil },
		Listen:     func(string, int) error { return nil },
		Holder:     func(int) string { return "" },
		Filesystem: func(string) bool { return true },
		Nftables:   ok, Veth: ok, Openat2: ok, Forwarding: ok, Hosts: ok,
	}
}

func TestCheck(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		name     string
		change   func(*Probes, *Config)
		fatal    []string // beginnings of lines
		warnings []string
	}{
		{"a fine machine", func(*Probes, *Config) {}, nil, nil},
		{"not root", func(p *Probes, _ *Config) { p.UID = func() int { return 1000 } }, []string{"berth must run as root"}, nil},
		{"not root, no agent", func(p *Probes, c *Config) {
			p.UID = func() int { return 1000 }
			c.Agent = false
		}, nil, nil},
		{"data directory", func(p *Probes, _ *Config) {
			p.Writable = func(string) error { return unix.EROFS }
		}, []string{"the data directory /data cannot be written: read-only file system; make it writable or choose another one with --data-dir"}, nil},
		{"port", func(p *Probes, _ *Config) {
			p.Listen = func(string, int) error { return unix.EADDRINUSE }
			p.Holder = func(int) string { return "process 12 (nginx)" }
		}, []string{"the API server cannot listen on port 6443: process 12 (nginx) holds it; stop that or choose another one with --https-port"}, nil},
		{"port of nobody known", func(p *Probes, c *Config) {
			c.Ports[0].Address = "10.0.0.1"
			p.Listen = func(string, int) error { return unix.EADDRNOTAVAIL }
		}, []string{"the API server cannot listen on port 6443 on 10.0.0.1: cannot assign requested address; stop"}, nil},
		{"bare kernel", func(p *Probes, _ *Config) {
			p.Filesystem = func(string) bool { return false }
			p.Nftables = func() error { return unix.EOPNOTSUPP }
			p.Veth = func() error { return unix.EOPNOTSUPP }
			p.Openat2 = func() error { return unix.ENOSYS }
			p.Cgroups = func() (int, []string) { return 0, nil }
			p.Forwarding = func() error { return unix.EROFS }
		}, []string{"the kernel has no overlay", "the kernel cannot filter", "the kernel cannot make veth", "the kernel is older", "no cgroups are mounted", "packets cannot be forwarded"}, nil},
		{"bare container root", func(p *Probes, _ *Config) {
			p.Hosts = func() error { _, err := os.Stat("/nowhere/hosts"); return err }
		}, []string{"stat /nowhere/hosts: no such file or directory: the container runtime gives every pod a copy of it; create it with"}, nil},
		{"few controllers, few rights", func(p *Probes, _ *Config) {
			p.Cgroups = func() (int, []string) { return 1, []string{"cpu", "pids"} }
			p.Capability = func(int) bool { return false }
		}, nil, []string{"the cgroup controller memory is not there", "CAP_SYS_RESOURCE is missing"}},
		{"no seccomp", func(_ *Probes, c *Config) { c.Seccomp = &no }, nil, []string{"runc was built without seccomp"}},
		{"seccomp", func(_ *Probes, c *Config) { c.Seccomp = &yes }, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, cfg := fine(), Config{DataDir: "/data", Agent: true, Ports: []Port{{"API server", "--https-port", "", 6443}}}
			tc.change(&p, &cfg)
			r := check(cfg, p)
			var fatal []string
			if err := r.Err(); err != nil {
				fatal = strings.Split(err.Error(), "\n")
			}
			begin(t, fatal, tc.fatal)
			begin(t, r.Warnings(), tc.warnings)
		})
	}
}

func begin(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if !strings.HasPrefix(got[i], want[i]) || strings.Contains(got[i], "\n") {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestHolderNamesUs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	comm, _ := os.ReadFile("/proc/self/comm")
	want := fmt.Sprintf("process %d (%s)", os.Getpid(), strings.TrimSpace(string(comm)))
	if got := holder("/proc", port); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := listen("127.0.0.1", port); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("listen on a taken port: %v", err)
	}
	ln.Close()
	if err := listen("127.0.0.1", port); err != nil {
		t.Errorf("listen on a free port: %v", err)
	}
	if got := holder("/proc", port); got != "" {
		t.Errorf("nobody holds it, got %q", got)
	}
}

func TestListener(t *testing.T) {
	const line = "   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 ffff 100 0 0 10 0"
	if inode, ok := listener(line, 6443); !ok || inode != "4242" {
		t.Errorf("got %q %v", inode, ok)
	}
	if _, ok := listener(strings.Replace(line, " 0A ", " 01 ", 1), 6443); ok {
		t.Error("a connection is no listener")
	}
	if _, ok := listener("sl local rem", 6443); ok {
		t.Error("the heading is no listener")
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	if err := writable(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "a", "b")); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := writable(filepath.Join(dir, "file", "x"))
	if err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("want the bare reason, got %v", err)
	}
}

func TestCgroups(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"+
		"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"+
		"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"+
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n")
	if v, c := cgroups(dir, one); v != 1 || !cmp.Equal(c, []string{"cpu", "cpuacct"}) {
		t.Errorf("version 1: %d %q", v, c)
	}
	if v, _ := cgroups(dir, write("none", "1 1 0:1 / / rw - ext4 /dev/vda rw\n")); v != 0 {
		t.Errorf("none: %d", v)
	}
	write("cgroup.controllers", "cpu memory pids\n")
	if v, c := cgroups(dir, one); v != 2 || !cmp.Equal(c, []string{"cpu", "memory", "pids"}) {
		t.Errorf("version 2: %d %q", v, c)
	}
}

func TestThisMachine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	began := time.Now()
	r := Run(Config{DataDir: t.TempDir(), Agent: os.Geteuid() == 0, Ports: []Port{{"API server", "--https-port", "127.0.0.1", port}}})
	t.Logf("%v; took %v; %s; warnings %q", r.Facts, time.Since(began), strconv.Quote(fmt.Sprint(r.Err())), r.Warnings())
}
