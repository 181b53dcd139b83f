// Package drills breaks the systems of examples/ on purpose, under a client that
// writes all the time: `berth drill` does what a user can do, and the test what takes
// a machine of its own.
package drills

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/plan/drill"
	"berth.dev/berth/test/e2e/cluster"
	"berth.dev/berth/test/e2e/systems"
)

// limit is what one drill may take: a machine that runs all tests at once may be slow.
const limit = 9 * time.Minute

// ring is a system on a cluster that drills are done on.
type ring struct {
	systems.System
	t *testing.T
	c *cluster.Cluster
	// disk is the file system that its volumes lie on.
	disk string
}

// berth does one drill by the command, and starts berth again if it kills that. On a
// busy machine a probe may fail at any time: what is not whole is waited for.
func (r *ring) berth(kind string, flags ...string) drill.Report {
	r.t.Helper()
	for deadline := time.Now().Add(limit); ; {
		out, said, err := r.once(kind, flags...)
		if err != nil && strings.Contains(said, ": it is not whole: ") && time.Now().Before(deadline) {
			r.Complete(r.c)
			continue
		}
		var report drill.Report
		if bad := json.Unmarshal([]byte(out), &report); err != nil || bad != nil || !report.Good() {
			r.t.Fatalf("drill %s: %v, %v\n%s%s", kind, err, bad, said, out)
		}
		return report
	}
}

func (r *ring) once(kind string, flags ...string) (out, said string, err error) {
	r.t.Helper()
	namespace := r.c.Namespace()
	if namespace == "" {
		namespace = "default"
	}
	args := append([]string{
		"drill", "run", kind, "sts/" + r.Set, "-n", namespace, "--yes", "-o", "json", "--data-dir", r.c.Data, "--timeout", limit.String(),
	}, flags...)
	ctx, cancel := context.WithTimeout(r.t.Context(), limit+3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := r.c.Host.Command(ctx, r.c.Berth(), args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, time.Second
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if kind == drill.Berth || kind == drill.Machine {
		select {
		case err := <-ended: // it was refused
			return stdout.String(), stderr.String(), err
		case <-r.c.Ended():
			r.c.Launch()
		}
	}
	err = <-ended
	return stdout.String(), stderr.String(), err
}

// everything restarts all that there is, in random order.
func (r *ring) everything() {
	all := []string{drill.Restart, drill.Containerd, drill.Berth}
	seed := rand.Uint64()
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, kind := range all {
		r.t.Logf("%s: %s", kind, strings.Join(r.berth(kind, "--seed", fmt.Sprint(seed)).What, ", "))
	}
}

// upgrade rolls to the same image by another name, as a new one would be.
func (r *ring) upgrade() {
	r.t.Helper()
	image := r.c.Kubectl("get", "statefulset", r.Set, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	next := image + "-next"
	for _, archive := range r.Build(r.t) {
		file := filepath.Join(r.c.Host.Dir, "next.tar")
		if renamed(r.t, archive, file, image, next) {
			r.c.Import(file)
		}
		if err := os.RemoveAll(file); err != nil {
			r.t.Fatal(err)
		}
	}
	r.berth(drill.Image, "--image", next)
}

// renamed copies an image archive and gives it another name; it says whether it
// had the first.
func renamed(t *testing.T, from, to, was, is string) (had bool) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in, err := os.Open(from)
	must(err)
	defer in.Close()
	out, err := os.Create(to)
	must(err)
	defer out.Close()
	w := tar.NewWriter(out)
	for r := tar.NewReader(in); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(err)
		var content io.Reader = r
		if head.Name == "manifest.json" {
			text, err := io.ReadAll(r)
			must(err)
			had = bytes.Contains(text, []byte(`"`+was+`"`))
			text = bytes.ReplaceAll(text, []byte(`"`+was+`"`), []byte(`"`+is+`"`))
			head.Size, content = int64(len(text)), bytes.NewReader(text)
		}
		must(w.WriteHeader(head))
		_, err = io.Copy(w, content)
		must(err)
	}
	must(w.Close())
	return had
}

// volumesOn mounts a file system of its own where the system's volumes will be, so
// that it can be filled without harm to anybody else.
func volumesOn(t *testing.T, c *cluster.Cluster, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.Host.Dir, "volumes.img")
	c.Host.MustRun(t.Context(), "truncate", "-s", "3G", file)
	c.Host.MustRun(t.Context(), "mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1", file)
	c.Host.MustRun(t.Context(), "mount", "-o", "loop", file, folder)
	c.Host.MustRun(t.Context(), "rmdir", filepath.Join(folder, "lost+found"))
}

// fill takes all space of the volumes' file system, and returns what gives it back.
func (r *ring) fill() (free func()) {
	r.t.Helper()
	file := r.c.Host.Path(filepath.Join(r.disk, "fill"))
	f, err := os.Create(file)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var size int64
	for piece := int64(256 << 20); piece >= 4<<10; {
		err := unix.Fallocate(int(f.Fd()), 0, size, piece)
		switch {
		case err == nil:
			size += piece
		case errors.Is(err, unix.ENOSPC):
			piece /= 2
		case !errors.Is(err, unix.EINTR):
			r.t.Fatalf("fill %s: %v", r.disk, err)
		}
	}
	r.t.Logf("%d MiB were free, and are full", size>>20)
	return func() {
		if err := os.Remove(file); err != nil {
			r.t.Fatal(err)
		}
	}
}

// nodes are where the system's pods run.
func (r *ring) nodes() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for _, pod := range r.Pods(r.c) {
		all[pod] = r.c.Kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
	}
	return all
}

// spread tells on how many nodes they run.
func spread(nodes map[string]string) int {
	var names []string
	for _, n := range nodes {
		names = append(names, n)
	}
	slices.Sort(names)
	return len(slices.Compact(names))
}
