package csi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/node/dirwatch"
)

// Config is what a Registry needs.
type Config struct {
	// Root is the node agent's directory; drivers register in plugins_registry
	// there. Shown is how drivers know it: the kubelet's path that charts have
	// written into them. It is Root where that is not provided.
	Root, Shown string
	NodeName    string
	// Client carries the node's identity.
	Client kubernetes.Interface
	// Registered is closed once the node is in the API; nil is from the start.
	Registered <-chan struct{}
	// Changed, when set, is told that a driver has come.
	Changed func(driver string)
	Clock   clock.WithTicker
	Log     *slog.Logger
	// Timeout is how long a driver may take for a call; 2 minutes unless set.
	Timeout time.Duration

	watch func() (*dirwatch.Watch, error) // for tests
}

// Registry knows the drivers that are registered on this node.
type Registry struct {
	cfg  Config
	show sync.Mutex // one change of the node's objects after the other

	mu      sync.Mutex
	drivers map[string]*Driver  // by name
	sockets map[string]*listing // by path
}

// listing is one registration socket.
type listing struct {
	stamp  string // tells a socket that was made anew
	driver string // that was registered through it; empty until then
	stop   context.CancelFunc
	ended  chan struct{}
}

// New makes a registry; Run fills it.
func New(cfg Config) *Registry {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Shown == "" {
		cfg.Shown = cfg.Root
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = callTimeout
	}
	if cfg.watch == nil {
		cfg.watch = dirwatch.Folders
	}
	return &Registry{cfg: cfg, drivers: map[string]*Driver{}, sockets: map[string]*listing{}}
}

// ErrNotRegistered says that a driver is not, or not yet, on this node.
type ErrNotRegistered struct{ Driver string }

func (e ErrNotRegistered) Error() string {
	return fmt.Sprintf("driver name %s not found in the list of registered CSI drivers", e.Driver)
}

// Driver returns a driver that is registered, else an ErrNotRegistered.
func (r *Registry) Driver(name string) (*Driver, error) {
	if r == nil {
		return nil, ErrNotRegistered{name}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.drivers[name]; d != nil {
		return d, nil
	}
	return nil, ErrNotRegistered{name}
}

// relook is how soon the folders are looked at again when one of them cannot be
// watched: the machine's limit of watches is reached, for example.
const relook = 10 * time.Second

// Run follows the folder of registration sockets until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	dir := filepath.Join(r.cfg.Root, "plugins_registry")
	for _, d := range []string{dir, filepath.Join(r.cfg.Root, "plugins")} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return err
		}
	}
	if r.cfg.Registered != nil {
		select {
		case <-r.cfg.Registered:
		case <-ctx.Done():
			return nil
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { r.begin(ctx) })
	var watch *dirwatch.Watch // nil until the machine has one to spare
	defer func() {
		if watch != nil {
			watch.Close()
		}
	}()
	for {
		var blind error
		if watch == nil {
			watch, blind = r.cfg.watch()
		}
		add, events := func(string) error { return blind }, (<-chan struct{})(nil)
		if watch != nil {
			add, events = watch.Add, watch.Events
		}
		var again <-chan time.Time
		if err := r.look(ctx, dir, add, &running); err != nil {
			r.cfg.Log.Warn("cannot watch for storage drivers, looking again soon", "error", err)
			again = r.cfg.Clock.After(relook)
		}
		select {
		case <-ctx.Done():
			r.close()
			return nil
		case <-events:
		case <-again:
		}
	}
}

// look compares the sockets that are there with those that are known. The error
// is of folders that cannot be watched.
func (r *Registry) look(ctx context.Context, dir string, watch func(string) error, running *sync.WaitGroup) error {
	blind := os.MkdirAll(dir, 0o750) // somebody may have removed it
	found, err := socketsIn(dir, watch)
	blind = errors.Join(blind, err)
	r.mu.Lock()
	var gone []*listing
	for path, l := range r.sockets {
		if found[path] != l.stamp {
			gone = append(gone, l)
			delete(r.sockets, path)
		}
	}
	r.mu.Unlock()
	for _, l := range gone {
		l.stop()
		<-l.ended
		if l.driver != "" {
			r.forget(ctx, l.driver)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		r.mu.Lock()
		_, known := r.sockets[path]
		if !known {
			ctx, stop := context.WithCancel(ctx)
			l := &listing{stamp: found[path], stop: stop, ended: make(chan struct{})}
			r.sockets[path] = l
			running.Go(func() { r.register(ctx, path, l) })
		}
		r.mu.Unlock()
	}
	return blind
}

// socketsIn returns the sockets at and below dir, each with what tells it from
// a later one of the same name. Each folder is watched before it is read, as far
// as that can be done.
func socketsIn(dir string, watch func(dir string) error) (map[string]string, error) {
	found := map[string]string{}
	var blind error
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it went away meanwhile
		}
		if path != dir && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			if err := watch(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				blind = err
			}
		}
		if entry.Type()&os.ModeSocket != 0 {
			if info, err := entry.Info(); err == nil {
				found[path] = fmt.Sprint(info.ModTime().UnixNano(), inode(info))
			}
		}
		return nil
	})
	return found, blind
}

// forget drops a driver, unless another socket has brought it back.
func (r *Registry) forget(ctx context.Context, name string) {
	r.mu.Lock()
	d := r.drivers[name]
	delete(r.drivers, name)
	r.mu.Unlock()
	if d == nil {
		return
	}
	_ = d.conn.Close()
	r.cfg.Log.Info("storage driver is gone", "driver", name)
	if err := r.hide(ctx, name); err != nil && ctx.Err() == nil {
		r.cfg.Log.Warn("cannot take a storage driver out of the node's objects", "driver", name, "error", err)
	}
}

// close ends the connections; the drivers stay in the API, they are only not
// spoken to.
func (r *Registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.drivers {
		_ = d.conn.Close()
	}
}

var errNoVersion = errors.New("no version of the interface that this node knows (1.x) is among those the driver supports")
