package fence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config says how a node is fenced.
type Config struct {
	// Dir holds the state; it outlives both processes.
	Dir string
	// Program is berth-fence.
	Program string
	// After is how long after the sending of the last renewal pods are killed.
	After time.Duration
	// Changed is called when pods have died, or the fence has come or gone; it may be nil.
	Changed func()
	// Covered is called when another pod is covered, so that it is promised; it must
	// not wait, and may be nil.
	Covered func()
	Log     *slog.Logger
}

// Keeper is the agent's side.
type Keeper struct {
	cfg   Config
	clock *clock
	wake  chan struct{}

	mu      sync.Mutex
	covered map[string]string // control groups by pod UID
	leaving map[string]bool   // covered until the control plane has heard that they are not
	dead    map[string]string
	// pending came after the deadline had passed, and are covered when that is over.
	pending map[string]string
	pid     int // of the fence that was seen last
}

// Open takes the state over from an earlier process.
func Open(cfg Config) (*Keeper, error) {
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Covered == nil {
		cfg.Covered = func() {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, wake: make(chan struct{}, 1), leaving: map[string]bool{}, pending: map[string]string{}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	var err error
	if k.clock, err = openClock(cfg.Dir); err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	if k.covered, err = read(k.dir(coveredDir)); err == nil {
		k.dead, err = read(k.dir(deadDir))
	}
	if err != nil {
		return nil, fmt.Errorf("fence: %w", err)
	}
	if k.covered == nil {
		k.covered = map[string]string{}
	}
	if k.dead == nil {
		k.dead = map[string]string{}
	}
	return k, nil
}

func (k *Keeper) dir(name string) string { return filepath.Join(k.cfg.Dir, name) }

// Cover has the fence kill a pod when its time comes.
func (k *Keeper) Cover(uid, cgroup string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.leaving, uid)
	if k.covered[uid] == cgroup {
		return
	}
	if k.clock.past(Now()) {
		k.pending[uid] = cgroup // it is none of those whose time has come
		return
	}
	k.cover(uid, cgroup)
}

func (k *Keeper) cover(uid, cgroup string) {
	if err := write(k.dir(coveredDir), uid, cgroup); err != nil {
		k.cfg.Log.Warn("a pod cannot be fenced, so it will not be replaced should this node be lost", "pod", uid, "error", err)
		return
	}
	k.covered[uid] = cgroup
	k.poke()
	k.cfg.Covered()
}

// Uncover lets a pod run on when its time comes, from the next renewal on.
func (k *Keeper) Uncover(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pending, uid)
	if _, is := k.covered[uid]; is {
		k.leaving[uid] = true
	}
}

// Forget drops a pod of which nothing runs.
func (k *Keeper) Forget(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(uid)
	if _, is := k.dead[uid]; is {
		delete(k.dead, uid)
		k.warn(drop(k.dir(deadDir), uid))
	}
}

func (k *Keeper) forget(uid string) {
	delete(k.pending, uid)
	delete(k.leaving, uid)
	if _, is := k.covered[uid]; is {
		delete(k.covered, uid)
		k.warn(drop(k.dir(coveredDir), uid))
	}
}

func (k *Keeper) warn(err error) {
	if err != nil {
		k.cfg.Log.Warn("the fence's records", "error", err)
	}
}

// Dead reports whether nothing of a pod may run here any more, ever: its time
// has come, and it may have been replaced.
func (k *Keeper) Dead(uid string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, is := k.dead[uid]; is {
		return true
	}
	_, is := k.covered[uid]
	return is && k.clock.past(Now())
}

// Renewal is what one renewal of the lease promises.
type Renewal struct {
	// Pods will be dead After from its sending on, unless there is another.
	Pods  []string
	After time.Duration
	sent  time.Duration
	gone  []string // covered still, and not promised any more
}

// Renewing is called just before a renewal is sent. Without a fence that runs
// nothing is promised.
func (k *Keeper) Renewing() Renewal {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := Renewal{After: k.cfg.After, sent: Now(), gone: slices.Collect(maps.Keys(k.leaving))}
	if len(k.covered) == 0 {
		return r
	}
	if pid, err := holder(k.cfg.Dir); err != nil || pid == 0 {
		k.poke()
		return r
	}
	for uid := range k.covered {
		if !k.leaving[uid] {
			r.Pods = append(r.Pods, uid)
		}
	}
	slices.Sort(r.Pods)
	if k.clock.word.Load() == unarmed {
		// The promise must hold also when its answer never comes.
		k.clock.move(r.sent+r.After, r.sent)
	}
	return r
}

// Renewed is called when a renewal has succeeded.
func (k *Keeper) Renewed(r Renewal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	to := r.sent + r.After // of the sending: the control plane counts from when it hears
	if !k.clock.move(to, Now()) {
		if !k.bury() {
			return // the fence goes on killing what it covers
		}
		k.clock.again(to)
		for uid, cgroup := range k.pending {
			k.cover(uid, cgroup)
		}
		clear(k.pending)
		defer k.cfg.Changed()
	}
	for _, uid := range r.gone {
		if k.leaving[uid] {
			k.forget(uid)
		}
	}
	k.poke()
}

// bury notes that all that is covered has died: it must not run again, also not
// after a restart of the agent. The lock is held.
func (k *Keeper) bury() bool {
	for uid, cgroup := range k.covered {
		if _, is := k.dead[uid]; !is {
			if err := write(k.dir(deadDir), uid, cgroup); err != nil {
				k.cfg.Log.Warn("what the fence has killed cannot be noted; pods of sets with berth.dev/node-loss stay dead", "error", err)
				return false
			}
			k.dead[uid] = cgroup
		}
	}
	killAll(cgroupRoot, k.covered) // should the fence be dead itself
	return true
}

// Status is how many pods are covered, and whether a fence runs.
func (k *Keeper) Status() (covered int, runs bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pid, err := holder(k.cfg.Dir)
	return len(k.covered), err == nil && pid != 0
}

func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// glance bounds how long one wait for the fence's end takes.
const glance = time.Second

// Run keeps a fence running while something is covered, until ctx is done; the
// fence stays. It kills too when the deadline passes, so that the fence alone,
// or this process alone, suffices.
func (k *Keeper) Run(ctx context.Context) {
	deaf := false // whether the deadline's passing was told of
	for ctx.Err() == nil {
		k.mu.Lock()
		pods := maps.Clone(k.covered)
		k.mu.Unlock()
		past := len(pods) > 0 && k.clock.past(Now())
		if past && !deaf {
			k.cfg.Log.Warn("no lease was renewed in time: the pods that may be replaced elsewhere are killed", "pods", len(pods))
			k.cfg.Changed()
		}
		deaf = past
		if past {
			killAll(cgroupRoot, pods)
		}
		if len(pods) == 0 {
			k.wait(ctx, 0)
			continue
		}
		pid, err := holder(k.cfg.Dir)
		if err == nil && pid == 0 {
			pid, err = k.start()
		}
		if err != nil {
			k.cfg.Log.Warn("the fence does not run, so no pod is replaced should this node be lost", "error", err)
			k.wait(ctx, glance)
			continue
		}
		if pid != k.pid {
			k.pid = pid
			k.cfg.Changed()
		}
		k.watch(ctx, pid)
	}
}

// wait returns when something is covered, or after so long; 0 is forever.
func (k *Keeper) wait(ctx context.Context, most time.Duration) {
	var over <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ctx.Done():
	case <-k.wake:
	case <-over:
	}
}

// watch returns when the fence has ended, or after a glance.
func (k *Keeper) watch(ctx context.Context, pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if !errors.Is(err, unix.ESRCH) {
			k.wait(ctx, glance)
		}
		return
	}
	defer unix.Close(fd)
	if waitEnd(fd, int(glance.Milliseconds())) {
		k.cfg.Log.Warn("the fence has ended; another one is started", "pid", pid)
	}
}

// start runs a fence of its own session, which outlives this process.
func (k *Keeper) start() (int, error) {
	log, err := os.OpenFile(k.dir("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(k.cfg.Program, k.cfg.Dir) //nolint:noctx // it outlives every context
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = []string{"GOMAXPROCS=1"}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// Buried when it ends while this process is there; else by whoever adopts it.
	go func() { _ = cmd.Wait() }()
	for end := Now() + 5*time.Second; Now() < end; time.Sleep(time.Millisecond) {
		pid, err := holder(k.cfg.Dir)
		if err != nil || pid == cmd.Process.Pid {
			return pid, err
		}
		if !alive(cmd.Process.Pid) {
			break
		}
	}
	return 0, fmt.Errorf("%s ended at once; see %s", k.cfg.Program, k.dir("log"))
}
