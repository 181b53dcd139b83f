// Package runtime keeps containerd running for one instance. containerd lives
// in a session of its own and outlives berth: the next start adopts it when
// its socket and configuration match, else replaces it without touching the
// shims, so containers never notice.
package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// startTimeout is how long containerd may take to open its socket.
const startTimeout = 20 * time.Second

// Runtime owns the containerd of one instance.
type Runtime struct {
	cfg Config
	log *slog.Logger
}

// New returns a runtime that Run starts.
func New(cfg Config, log *slog.Logger) *Runtime {
	return &Runtime{cfg: cfg, log: log.With("component", "runtime")}
}

// Run starts or adopts containerd, calls ready when its socket answers, and
// starts it again whenever it ends, until ctx is done. It leaves containerd
// running when it returns.
func (r *Runtime) Run(ctx context.Context, ready func()) error {
	if err := r.prepare(); err != nil {
		return err
	}
	served := false
	for backoff := 10 * time.Millisecond; ; backoff = min(2*backoff, 10*time.Second) {
		p, err := r.ensure(ctx)
		switch {
		case err == nil:
			ready()
			ready, served = func() {}, true
			began := time.Now()
			if err := waitGone(ctx, p); err != nil {
				return nil // asked to stop: containerd stays
			}
			r.log.Warn("containerd ended and is started again", "pid", p.PID, "log", r.cfg.log())
			if time.Since(began) > time.Minute {
				backoff = 10 * time.Millisecond
			}
		case ctx.Err() != nil:
			return nil
		case !served:
			return err // nothing runs yet: somebody has to mend it
		default: // it was killed while it started, or the disk is full: what runs goes on
			r.log.Warn("containerd does not start, trying again", "in", backoff, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
	}
}

// Stop ends the containerd that an instance left behind; containers keep running.
func Stop(cfg Config) error {
	if err := load(cfg.record()).stop(5 * time.Second); err != nil {
		return err
	}
	return os.RemoveAll(cfg.record())
}

// prepare makes the folders. State from before a reboot describes processes
// and mounts that no longer exist, so it is dropped.
func (r *Runtime) prepare() error {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	last, err := os.ReadFile(r.cfg.boot())
	if err == nil && string(last) != string(id) {
		for _, stale := range []string{r.cfg.state(), r.cfg.shimSocks(), r.cfg.record(), filepath.Join(r.cfg.Dir.Containerd(), "runc")} {
			if err := os.RemoveAll(stale); err != nil {
				return fmt.Errorf("drop runtime state from before the reboot: %w", err)
			}
		}
	}
	// What runs below the state may be of other users (see datadir.Create).
	for _, open := range []string{r.cfg.Dir.Containerd(), r.cfg.state()} {
		if err := os.MkdirAll(open, 0o711); err != nil {
			return err
		}
		if err := os.Chmod(open, 0o711); err != nil {
			return err
		}
	}
	for _, dir := range []string{r.cfg.root(), r.cfg.shimSocks(), r.cfg.CertsDir(), r.cfg.Dir.CNIConf()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := r.cfg.writePauseSeccomp(); err != nil {
		return err
	}
	return os.WriteFile(r.cfg.boot(), id, 0o600)
}

// ensure adopts the running containerd or starts one.
func (r *Runtime) ensure(ctx context.Context) (process, error) {
	config := r.cfg.render()
	hash, err := r.hash(config)
	if err != nil {
		return process{}, err
	}
	last := load(r.cfg.record())
	if !last.alive() {
		last = r.unrecorded()
	}
	if last.alive() && last.ConfigHash == hash && r.answers() {
		r.log.Info("adopted the running containerd", "pid", last.PID)
		return last, nil
	}
	if err := last.stop(5 * time.Second); err != nil {
		return process{}, err
	}
	if err := r.endLost(); err != nil {
		return process{}, err
	}
	if err := r.dropDeadSockets(); err != nil {
		return process{}, err
	}
	if err := os.WriteFile(r.cfg.file(), []byte(config), 0o600); err != nil {
		return process{}, err
	}
	return r.start(ctx, hash)
}

// dropDeadSockets removes the sockets of shims that were killed. No containerd
// runs, so no shim is about to listen on one.
func (r *Runtime) dropDeadSockets() error {
	entries, err := os.ReadDir(r.cfg.shimSocks())
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(r.cfg.shimSocks(), e.Name())
		conn, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			conn.Close()
		case errors.Is(err, syscall.ECONNREFUSED):
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("drop the socket of a dead shim: %w", err)
			}
		}
	}
	return nil
}

// hash covers the configuration and the programs, so that an upgrade of the
// bundle replaces containerd.
func (r *Runtime) hash(config string) (string, error) {
	info, err := os.Stat(r.program())
	if err != nil {
		return "", fmt.Errorf("the bundle is incomplete: %w (run `make bundle`, or point --bundle-dir at it)", err)
	}
	sum := sha256.Sum256(fmt.Appendf([]byte(config), "\n%d %d", info.Size(), info.ModTime().UnixNano()))
	return hex.EncodeToString(sum[:]), nil
}

func (r *Runtime) program() string { return filepath.Join(r.cfg.BundleDir, "containerd") }

// sockets are those that containerd opens.
func (r *Runtime) sockets() []string {
	return []string{r.cfg.Dir.RuntimeSocket(), r.cfg.Dir.CRISocket()}
}

// start runs containerd in a session of its own and waits for its sockets.
func (r *Runtime) start(ctx context.Context, hash string) (process, error) {
	for _, socket := range r.sockets() {
		if err := os.RemoveAll(socket); err != nil {
			return process{}, err
		}
	}
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return process{}, err
	}
	defer watch.Close()
	if err := watch.Add(r.cfg.Dir.Run()); err != nil {
		return process{}, err
	}
	logFile, err := os.OpenFile(r.cfg.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return process{}, err
	}
	defer logFile.Close()
	// Not CommandContext: containerd outlives us.
	cmd := exec.Command(r.program(), "--config", r.cfg.file(), "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), "PATH="+r.cfg.BundleDir+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		return process{}, fmt.Errorf("start containerd: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with containerd
	ticks, err := startTicks(cmd.Process.Pid)
	if err != nil {
		return process{}, r.failed(<-ended)
	}
	p := process{PID: cmd.Process.Pid, StartTicks: ticks, ConfigHash: hash}
	if err := p.save(r.cfg.record()); err != nil {
		return process{}, err
	}
	return p, r.await(ctx, watch, ended)
}

// await returns when the sockets answer. A file appears a moment before
// containerd listens on it, so a refused call is tried again shortly.
func (r *Runtime) await(ctx context.Context, watch *fsnotify.Watcher, ended <-chan error) error {
	limit := time.After(startTimeout)
	var retry <-chan time.Time
	for {
		if r.answers() {
			return nil
		}
		if r.exist() {
			retry = time.After(2 * time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return r.failed(err)
		case <-limit:
			return fmt.Errorf("containerd did not open %s within %s; see %s", strings.Join(r.sockets(), " and "), startTimeout, r.cfg.log())
		case <-watch.Events:
		case <-retry:
		}
	}
}

// failed tells why containerd ended, with the last line it logged.
func (r *Runtime) failed(err error) error {
	last := ""
	if text, readErr := tail(r.cfg.log(), 4096); readErr == nil {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		last = lines[len(lines)-1]
	}
	return fmt.Errorf("containerd ended at its start (%w): %s; see %s", err, last, r.cfg.log())
}

// answers says whether all sockets accept a call.
func (r *Runtime) answers() bool {
	for _, socket := range r.sockets() {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
	}
	return true
}

// exist says whether the files of all sockets are there.
func (r *Runtime) exist() bool {
	for _, socket := range r.sockets() {
		if _, err := os.Stat(socket); err != nil {
			return false
		}
	}
	return true
}

// waitGone returns nil when p has ended, or ctx's error when ctx is done first.
func waitGone(ctx context.Context, p process) error {
	fd, err := pidfd(p.PID)
	if err != nil {
		return ctx.Err()
	}
	defer syscall.Close(fd)
	if !p.alive() {
		return ctx.Err()
	}
	stopped, stop, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stopped.Close()
	defer stop.Close()
	defer context.AfterFunc(ctx, func() { stop.Close() })()
	goneOr(fd, int(stopped.Fd()))
	return ctx.Err()
}

func tail(file string, n int64) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		if _, err := f.Seek(-n, io.SeekEnd); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(f)
	return string(text), err
}
