package register

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/internal/plan/evict"
)

// probe looks at the machine.
type probe interface {
	host() corev1.NodeSystemInfo
	usage() usage
}

// usage is how much there is and how much is free.
type usage struct {
	cpus, memory, disk             int64
	memoryAvailable, diskAvailable int64
	inodes, inodesFree             int64
	pids, pidsFree                 int64
	hugePages                      map[string]int64 // "2Mi" -> bytes
}

// machine is the real one; its string is a directory on the node's disk.
type machine struct{ dataDir string }

// host is read once: none of it changes before a reboot.
func (machine) host() corev1.NodeSystemInfo { return readHost() }

var readHost = sync.OnceValue(func() corev1.NodeSystemInfo {
	info := corev1.NodeSystemInfo{
		MachineID:       firstLine("/etc/machine-id", "/var/lib/dbus/machine-id"),
		SystemUUID:      firstLine("/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid", "/etc/machine-id"),
		BootID:          firstLine("/proc/sys/kernel/random/boot_id"),
		KernelVersion:   firstLine("/proc/sys/kernel/osrelease"),
		OSImage:         osImage("/etc/os-release", "/usr/lib/os-release"),
		OperatingSystem: runtime.GOOS,
		Architecture:    runtime.GOARCH,
	}
	if swap := memInfo()["SwapTotal"]; swap > 0 {
		info.Swap = &corev1.NodeSwapStatus{Capacity: &swap}
	}
	return info
})

func firstLine(paths ...string) string {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		line, _, _ := strings.Cut(string(data), "\n")
		if line = strings.TrimRight(strings.TrimSpace(line), "\x00"); err == nil && line != "" {
			return line
		}
	}
	return ""
}

// osImage is the name of the distribution for people.
func osImage(paths ...string) string {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return "Linux"
}

func (m machine) usage() usage {
	memory := memInfo()
	u := usage{
		cpus:            int64(runtime.NumCPU()),
		memory:          memory["MemTotal"],
		memoryAvailable: memory["MemAvailable"],
		hugePages:       hugePages("/sys/kernel/mm/hugepages"),
	}
	var fs unix.Statfs_t
	if unix.Statfs(m.dataDir, &fs) == nil && fs.Blocks > 0 {
		// The kubelet counts what an ordinary user can have as available.
		u.disk = int64(fs.Blocks) * fs.Bsize
		u.diskAvailable = int64(fs.Bavail) * fs.Bsize
		if fs.Files > 0 {
			u.inodes, u.inodesFree = int64(fs.Files), int64(fs.Ffree)
		}
	}
	if most, used := pids(); most > 0 {
		u.pids, u.pidsFree = most, most-used
	}
	return u
}

// Observe is how much there is and how much is free on the machine whose disk
// holds a directory.
func Observe(dir string) map[evict.Signal]evict.Observation {
	u := machine{dir}.usage()
	return map[evict.Signal]evict.Observation{
		evict.MemoryAvailable: {Available: u.memoryAvailable, Capacity: u.memory},
		evict.DiskAvailable:   {Available: u.diskAvailable, Capacity: u.disk},
		evict.InodesFree:      {Available: u.inodesFree, Capacity: u.inodes},
		evict.PIDAvailable:    {Available: u.pidsFree, Capacity: u.pids},
	}
}

// memInfo is /proc/meminfo in bytes.
func memInfo() map[string]int64 {
	data, _ := os.ReadFile("/proc/meminfo")
	info := map[string]int64{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		if len(fields) == 3 {
			n *= 1024
		}
		info[strings.TrimSuffix(fields[0], ":")] = n
	}
	return info
}

// hugePages is how much memory lies in huge pages of each size.
func hugePages(dir string) map[string]int64 {
	entries, _ := os.ReadDir(dir)
	pages := map[string]int64{}
	for _, entry := range entries {
		text, ok := strings.CutPrefix(entry.Name(), "hugepages-")
		kb, err := strconv.ParseInt(strings.TrimSuffix(text, "kB"), 10, 64)
		if !ok || err != nil {
			continue
		}
		count, _ := strconv.ParseInt(firstLine(filepath.Join(dir, entry.Name(), "nr_hugepages")), 10, 64)
		size := quantity(kb * 1024)
		pages[size.String()] = count * kb * 1024
	}
	return pages
}

// pids is how many there may be and how many there are.
func pids() (most, used int64) {
	most, _ = strconv.ParseInt(firstLine("/proc/sys/kernel/pid_max"), 10, 64)
	if threads, err := strconv.ParseInt(firstLine("/proc/sys/kernel/threads-max"), 10, 64); err == nil && (threads < most || most == 0) {
		most = threads
	}
	// "0.20 0.18 0.12 1/80 11206": the fourth field has running/all.
	fields := strings.Fields(firstLine("/proc/loadavg"))
	if len(fields) < 4 {
		return 0, 0
	}
	_, all, _ := strings.Cut(fields[3], "/")
	used, err := strconv.ParseInt(all, 10, 64)
	if err != nil {
		return 0, 0
	}
	return most, used
}
