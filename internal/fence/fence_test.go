package fence

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// node is what an agent has, and does not lose when it is killed.
type node struct {
	t       *testing.T
	dir     string
	program string
}

func newNode(t *testing.T) node {
	n := node{t, t.TempDir(), program(t)}
	t.Cleanup(func() {
		if err := Stop(n.dir); err != nil {
			t.Error(err)
		}
		if pid, err := holder(n.dir); pid != 0 || err != nil {
			t.Errorf("a fence is left: %d, %v", pid, err)
		}
	})
	return n
}

// agent starts one; stop is what kill -9 leaves of it.
func (n node) agent(after time.Duration) (k *Keeper, stop func()) {
	n.t.Helper()
	k, err := Open(Config{Dir: n.dir, Program: n.program, After: after})
	must(n.t, err)
	ctx, cancel := context.WithCancel(n.t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	n.t.Cleanup(stop)
	return k, stop
}

func (n node) fenced(k *Keeper) {
	n.t.Helper()
	eventually(n.t, "a fence", func() bool { _, runs := k.Status(); return runs })
}

// The agent is killed; its node's lease is renewed no more. The fence kills what
// it covers and nothing else, and what it has killed is dead for ever.
func TestFenceKillsWhenTheAgentIsDead(t *testing.T) {
	n := newNode(t)
	covered, other := start(t, "pod-covered"), start(t, "pod-other")
	k, kill9 := n.agent(2 * time.Second)
	k.Cover("a", covered.cgroup)
	n.fenced(k)
	r := k.Renewing()
	if !slices.Equal(r.Pods, []string{"a"}) {
		t.Fatalf("promised: %v", r.Pods)
	}
	kill9() // also before the answer comes: the promise was made
	eventually(t, "the covered pod's end", func() bool { return !covered.runs() })
	if !other.runs() {
		t.Error("the other pod is dead too")
	}

	// The next agent knows, whenever it comes, and another pod is none of that.
	k, kill9 = n.agent(time.Hour)
	if !k.Dead("a") || k.Dead("b") {
		t.Errorf("dead: a %v, b %v", k.Dead("a"), k.Dead("b"))
	}
	k.Cover("b", other.cgroup)
	if k.Dead("b") {
		t.Error("a pod that comes after the deadline is not one of those")
	}
	k.Renewed(k.Renewing())
	if !k.Dead("a") || k.Dead("b") || !other.runs() {
		t.Errorf("after a renewal: a %v, b %v", k.Dead("a"), k.Dead("b"))
	}
	kill9()
	k, _ = n.agent(time.Hour)
	if !k.Dead("a") || k.Dead("b") || !other.runs() {
		t.Errorf("after another restart: a %v, b %v", k.Dead("a"), k.Dead("b"))
	}
	if r := k.Renewing(); !slices.Contains(r.Pods, "b") {
		t.Errorf("promised: %v", r.Pods)
	}
	k.Forget("a")
	if k.Dead("a") {
		t.Error("nothing of it is left, and it is remembered")
	}
}

// Killed itself, the fence comes back; without one nothing is promised.
func TestFenceIsKept(t *testing.T) {
	n := newNode(t)
	k, stop := n.agent(time.Hour)
	if r := k.Renewing(); len(r.Pods) != 0 {
		t.Errorf("promised %v", r.Pods)
	}
	if _, runs := k.Status(); runs {
		t.Error("it runs for nobody")
	}
	k.Cover("a", "/berth-none/poda")
	n.fenced(k)
	k.Renewed(k.Renewing())
	first, err := holder(n.dir)
	must(t, err)
	must(t, unix.Kill(first, unix.SIGKILL))
	eventually(t, "another fence", func() bool {
		pid, err := holder(n.dir)
		return err == nil && pid != 0 && pid != first
	})
	second, err := holder(n.dir)
	must(t, err)
	stop()
	must(t, unix.Kill(second, unix.SIGKILL))
	eventually(t, "its end", func() bool { pid, err := holder(n.dir); return err == nil && pid == 0 })
	if r := k.Renewing(); len(r.Pods) != 0 {
		t.Errorf("with no fence promised: %v", r.Pods)
	}
	k, _ = n.agent(time.Hour)
	n.fenced(k)
	if r := k.Renewing(); !slices.Equal(r.Pods, []string{"a"}) {
		t.Errorf("promised: %v", r.Pods)
	}
}

// A pod that is to be let alone is covered until a renewal has said so.
func TestFenceLetsGo(t *testing.T) {
	n := newNode(t)
	k, _ := n.agent(time.Hour)
	k.Cover("a", "/berth-none/poda")
	k.Cover("b", "/berth-none/podb")
	n.fenced(k)
	before := k.Renewing()
	k.Uncover("a")
	k.Renewed(before)
	file := filepath.Join(n.dir, coveredDir, "a")
	if _, err := os.Stat(file); err != nil {
		t.Error("the last renewal promises it")
	}
	r := k.Renewing()
	if !slices.Equal(r.Pods, []string{"b"}) {
		t.Errorf("promised: %v", r.Pods)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the renewal may have failed")
	}
	k.Renewed(r)
	if _, err := os.Stat(file); err == nil {
		t.Error("it is covered still")
	}
	k.Uncover("b")
	r = k.Renewing()
	k.Cover("b", "/berth-none/podb")
	k.Renewed(r)
	if _, err := os.Stat(filepath.Join(n.dir, coveredDir, "b")); err != nil {
		t.Error("it was wanted again meanwhile")
	}
}

// Whatever two processes do at once: when one has found the deadline past, no
// other moves it on.
func TestDeadlineIsPastForAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		agent, err := openClock(dir)
		must(t, err)
		defer agent.close()
		fence, err := openClock(dir)
		must(t, err)
		defer fence.close()
		now, promised := time.Duration(10), time.Duration(0)
		over := false
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 10).Draw(rt, "later"))
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				to := now + time.Duration(rapid.IntRange(-5, 15).Draw(rt, "to"))
				moved := agent.move(to, now)
				if want := !over && (promised == 0 || now < promised); moved != want {
					rt.Fatalf("moved at %d from %d to %d: %v", now, promised, to, moved)
				}
				if moved {
					promised = max(promised, to)
				} else {
					over = true
				}
			case 1:
				past := fence.past(now)
				if want := over || promised != 0 && now >= promised; past != want {
					rt.Fatalf("past at %d of %d: %v", now, promised, past)
				}
				over = over || past
			case 2:
				if over {
					promised, over = now+20, false
					agent.again(promised)
				}
			}
		}
	})
}

// The same with real concurrency: one of both has its way, never both.
func TestDeadlineUnderRace(t *testing.T) {
	for range 200 {
		dir := t.TempDir()
		agent, err := openClock(dir)
		must(t, err)
		fence, err := openClock(dir)
		must(t, err)
		agent.move(100, 50)
		var moved, past atomic.Bool
		var both sync.WaitGroup
		both.Go(func() { moved.Store(agent.move(200, 99)) })
		both.Go(func() { past.Store(fence.past(100)) })
		both.Wait()
		if moved.Load() == past.Load() {
			t.Fatalf("moved %v, past %v", moved.Load(), past.Load())
		}
		must(t, agent.close())
		must(t, fence.close())
	}
}

// What was promised before the machine was started anew counts no more.
func TestDeadlineOfAnotherBoot(t *testing.T) {
	dir := t.TempDir()
	c, err := openClock(dir)
	must(t, err)
	c.move(1<<40, 5)
	must(t, c.close())
	f, err := os.OpenFile(filepath.Join(dir, "deadline"), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 8)
	must(t, err)
	must(t, f.Close())
	c, err = openClock(dir)
	must(t, err)
	defer c.close()
	if got := c.word.Load(); got != unarmed {
		t.Errorf("the deadline is %d", got)
	}
}

func TestKillNeverTakesEverything(t *testing.T) {
	for _, cgroup := range []string{"", "/", ".", "/../.."} {
		if n := kill(t.TempDir(), cgroup); n != 0 {
			t.Errorf("%q: %d", cgroup, n)
		}
	}
}
