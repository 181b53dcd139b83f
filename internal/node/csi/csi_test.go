package csi

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"berth.dev/berth/internal/node/dirwatch"
)

func TestAccess(t *testing.T) {
	const (
		single = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
		alone  = csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
		shared = csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
		reads  = csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
		writes = csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	)
	for mode, want := range map[corev1.PersistentVolumeAccessMode][2]csi.VolumeCapability_AccessMode_Mode{
		corev1.ReadWriteOnce: {single, shared}, corev1.ReadWriteOncePod: {single, alone}, "": {single, shared},
		corev1.ReadOnlyMany: {reads, reads}, corev1.ReadWriteMany: {writes, writes},
	} {
		for i, can := range []Capabilities{{}, {ManyWriters: true}} {
			if got := (Access{Mode: mode}).Of(can).AccessMode.Mode; got != want[i] {
				t.Errorf("%s with %v: %v", mode, can, got)
			}
		}
	}
	a := Access{FSType: "xfs", Options: []string{"noatime"}, Group: "7"}
	if m := a.Of(Capabilities{MountGroup: true}).GetMount(); m.FsType != "xfs" || m.MountFlags[0] != "noatime" || m.VolumeMountGroup != "7" {
		t.Error(m)
	}
	if m := a.Of(Capabilities{}).GetMount(); m.VolumeMountGroup != "" {
		t.Error("a group for a driver that knows none")
	}
	a.Block = true
	if c := a.Of(Capabilities{}); c.GetBlock() == nil || c.GetMount() != nil {
		t.Error(c)
	}
}

func TestKnownVersion(t *testing.T) {
	for _, good := range [][]string{{"1.0.0"}, {"v1.12"}, {"0.3.0", "1.2.0"}, {"1"}} {
		if err := knownVersion(good); err != nil {
			t.Error(good, err)
		}
	}
	for _, bad := range [][]string{nil, {"0.3.0"}, {"2.0.0"}, {"", "x"}, {"11.0"}} {
		if err := knownVersion(bad); !errors.Is(err, errNoVersion) {
			t.Error(bad, err)
		}
	}
}

func TestPathsOfDrivers(t *testing.T) {
	r := New(Config{Root: "/data/kubelet", Shown: "/var/lib/kubelet"})
	for ours, theirs := range map[string]string{"/data/kubelet/pods/x": "/var/lib/kubelet/pods/x", "/elsewhere/s": "/elsewhere/s", "/data/kubelet-2/x": "/data/kubelet-2/x"} {
		if r.shown(ours) != theirs || r.real(theirs) != ours {
			t.Error(ours, r.shown(ours), r.real(theirs))
		}
	}
}

// Sockets are found in deeper folders too, in ones that are made later and in ones
// that come back.
func TestSocketsInDeeperFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r")
	watch, err := dirwatch.Folders()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	found := func() []string {
		t.Helper()
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		sockets, err := socketsIn(dir, watch.Add)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(sockets))
	}
	until := func(want ...string) {
		t.Helper()
		for late := time.After(time.Minute); !slices.Equal(found(), want); {
			select {
			case <-watch.Events:
			case <-late:
				t.Fatalf("found %v, want %v", found(), want)
			}
		}
	}
	listen := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		t.Chdir(filepath.Dir(path)) // the name of a socket must be short
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Base(path)}); err != nil {
			t.Fatal(err)
		}
	}
	until()
	one, two, hidden := filepath.Join(dir, "one"), filepath.Join(dir, "a", "b", "two"), filepath.Join(dir, ".c", "three")
	listen(one)
	until(one)
	listen(two)
	listen(hidden)
	until(two, one)
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	until(one)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	until()
	listen(two)
	until(two)
}

// A machine that has no watch to spare is asked again; nothing ends for it.
func TestNoWatchToSpare(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Unix(0, 0))
	asked := make(chan int, 10)
	n := 0
	r := New(Config{Root: t.TempDir(), Client: fake.NewClientset(), Clock: clk, watch: func() (*dirwatch.Watch, error) {
		if n++; n < 3 {
			asked <- n
			return nil, unix.EMFILE
		}
		asked <- n
		return dirwatch.Folders()
	}})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	for want := 1; want <= 3; want++ {
		if got := <-asked; got != want {
			t.Fatalf("asked %d times, want %d", got, want)
		}
		for want < 3 && !clk.HasWaiters() {
			time.Sleep(time.Millisecond)
		}
		clk.Step(relook)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
