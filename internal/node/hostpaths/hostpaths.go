// Package hostpaths makes an instance's folders appear where charts and agents
// look for a kubelet's: /var/lib/kubelet, /var/log/pods and /var/log/containers.
//
// The first is a link: what is mounted below it later is seen through it at
// once. The second is a bind mount, because log shippers mount /var/log as a
// whole, and a link would lead nowhere in their container. The third is a
// folder with a link for each container's log.
package hostpaths

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/base/datadir"
)

// Paths is where the folders appear, and what of.
type Paths struct {
	Dir  datadir.Dir
	Root string // "/" unless in a test
}

// Of are the paths of an instance.
func Of(dir datadir.Dir) Paths { return Paths{Dir: dir, Root: "/"} }

func (p Paths) kubelet() string { return filepath.Join(p.Root, "var/lib/kubelet") }

// Kubelet is how others know the node agent's directory: a kubelet's, or what it
// is when another kubelet has that.
func (p Paths) Kubelet() string {
	if to, err := os.Readlink(p.kubelet()); err == nil && to == p.Dir.Kubelet() {
		return p.kubelet()
	}
	return p.Dir.Kubelet()
}

// Pods is where pods' logs appear.
func (p Paths) Pods() string { return filepath.Join(p.Root, "var/log/pods") }

// Containers holds the links to containers' logs.
func (p Paths) Containers() string { return filepath.Join(p.Root, "var/log/containers") }

// Provide makes the folders appear. It can be repeated, and touches nothing that
// another kubelet has.
func (p Paths) Provide() error {
	for _, dir := range []string{p.Dir.Kubelet(), p.Dir.PodLogs(), filepath.Dir(p.kubelet()), filepath.Dir(p.Pods())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(p.link(), p.bind(), os.MkdirAll(p.Containers(), 0o755))
}

func (p Paths) link() error {
	path, want := p.kubelet(), p.Dir.Kubelet()
	if to, err := os.Readlink(path); err == nil && to == want {
		return nil
	}
	// Only an empty folder goes.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is in use by something else and stays as it is: %w", path, err)
	}
	return os.Symlink(want, path)
}

func (p Paths) bind() error {
	if p.bound() {
		return nil
	}
	path := p.Pods()
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if inside, err := os.ReadDir(path); err != nil || len(inside) > 0 {
		return errors.Join(fmt.Errorf("%s is in use by something else and stays as it is", path), err)
	}
	if err := unix.Mount(p.Dir.PodLogs(), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the pods' logs at %s: %w", path, err)
	}
	return nil
}

// bound is true when the pods' logs are mounted.
func (p Paths) bound() bool {
	a, errA := os.Stat(p.Dir.PodLogs())
	b, errB := os.Stat(p.Pods())
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Remove takes away what Provide made; the instance's own folders stay.
func (p Paths) Remove() error {
	var problems []error
	if to, err := os.Readlink(p.kubelet()); err == nil && to == p.Dir.Kubelet() {
		problems = append(problems, os.Remove(p.kubelet()))
	}
	if !p.bound() {
		return errors.Join(problems...)
	}
	links, _ := filepath.Glob(filepath.Join(p.Containers(), "*.log"))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, p.Pods()+"/") {
			problems = append(problems, os.Remove(link))
		}
	}
	if err := unix.Unmount(p.Pods(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		problems = append(problems, fmt.Errorf("unmount %s: %w", p.Pods(), err))
	}
	// Each goes only when nobody else has anything in it.
	_ = os.Remove(p.Pods())
	_ = os.Remove(p.Containers())
	return errors.Join(problems...)
}
