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

// exercise is a system under load that drills are done on.
type exercise struct {
	*systems.Running
	// disk is the file system that its volumes lie on.
	disk string
}

// berth does one drill by the command, and starts berth again if it kills that. On a
// busy machine a probe may fail at any time: what is not whole is waited for.
func (e *exercise) berth(kind string, flags ...string) drill.Report {
	e.T.Helper()
	for deadline := time.Now().Add(systems.Limit); ; {
		out, said, err := e.once(kind, flags...)
		if err != nil && strings.Contains(said, ": it is not whole: ") && time.Now().Before(deadline) {
			e.Complete(e.C)
			continue
		}
		var report drill.Report
		if bad := json.Unmarshal([]byte(out), &report); err != nil || bad != nil || !report.Good() {
			e.T.Fatalf("drill %s: %v, %v\n%s%s", kind, err, bad, said, out)
		}
		return report
	}
}

func (e *exercise) once(kind string, flags ...string) (out, said string, err error) {
	e.T.Helper()
	namespace := e.C.Namespace()
	if namespace == "" {
		namespace = "default"
	}
	args := append([]string{
		"drill", "run", kind, "sts/" + e.Set, "-n", namespace, "--yes", "-o", "json", "--data-dir", e.C.Data, "--timeout", systems.Limit.String(),
	}, flags...)
	ctx, cancel := context.WithTimeout(e.T.Context(), systems.Limit+3*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := e.C.Host.Command(ctx, e.C.Berth(), args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, time.Second
	if err := cmd.Start(); err != nil {
		e.T.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if kind == drill.Berth || kind == drill.Machine {
		select {
		case err := <-ended: // it was refused
			return stdout.String(), stderr.String(), err
		case <-e.C.Ended():
			e.C.Launch()
		}
	}
	err = <-ended
	return stdout.String(), stderr.String(), err
}

// everything restarts all that there is, in random order.
func (e *exercise) everything() {
	all := []string{drill.Restart, drill.Containerd, drill.Berth}
	seed := rand.Uint64()
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, kind := range all {
		e.T.Logf("%s: %s", kind, strings.Join(e.berth(kind, "--seed", fmt.Sprint(seed)).What, ", "))
	}
}

// upgrade rolls to the same image by another name, as a new one would be.
func (e *exercise) upgrade() {
	e.T.Helper()
	image := e.C.Kubectl("get", "statefulset", e.Set, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	next := image + "-next"
	for _, archive := range e.Build(e.T) {
		file := filepath.Join(e.C.Host.Dir, "next.tar")
		if renamed(e.T, archive, file, image, next) {
			e.C.Import(file)
		}
		if err := os.RemoveAll(file); err != nil {
			e.T.Fatal(err)
		}
	}
	e.berth(drill.Image, "--image", next)
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
func (e *exercise) fill() (free func()) {
	e.T.Helper()
	file := e.C.Host.Path(filepath.Join(e.disk, "fill"))
	f, err := os.Create(file)
	if err != nil {
		e.T.Fatal(err)
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
			e.T.Fatalf("fill %s: %v", e.disk, err)
		}
	}
	e.T.Logf("%d MiB were free, and are full", size>>20)
	return func() {
		if err := os.Remove(file); err != nil {
			e.T.Fatal(err)
		}
	}
}

// nodes are where the system's pods run.
func (e *exercise) nodes() map[string]string {
	e.T.Helper()
	all := map[string]string{}
	for _, pod := range e.Pods(e.C) {
		all[pod] = e.C.Kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
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
