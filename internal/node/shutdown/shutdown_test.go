package shutdown

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/internal/node/shutdown/logind"
	"berth.dev/berth/internal/node/shutdown/logind/fakelogind"
	"berth.dev/berth/internal/plan/podsync"
	"berth.dev/berth/internal/plan/shutdown"
)

// record writes down what happens, in order.
type record struct {
	mu    sync.Mutex
	lines []string
	pods  []*corev1.Pod
	// stuck are pods that never end.
	stuck map[types.UID]bool
}

func (r *record) add(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, a...))
}

func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.lines
	r.lines = nil
	return out
}

func (r *record) Active() []*corev1.Pod { return r.pods }

func (r *record) Shut(ctx context.Context, uid types.UID, kill podsync.Kill) {
	r.add("end %s in %d s: %s", uid, *kill.Grace, kill.Reason)
	if r.stuck[uid] {
		<-ctx.Done()
	}
}

func pod(name string, priority int32, grace int64) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{Priority: &priority, TerminationGracePeriodSeconds: &grace}}
}

func begin(t *testing.T, r *record, periods []shutdown.Period, delay time.Duration) (*Watcher, *fakelogind.Logind, string) {
	t.Helper()
	dir := t.TempDir()
	bus, err := fakelogind.Listen(filepath.Join(dir, "bus"), delay)
	if err != nil {
		t.Fatal(err)
	}
	w := New(Config{
		Periods: periods, Pods: r, Logind: logind.Config{Address: bus.Address(), ConfDir: filepath.Join(dir, "logind.conf.d")},
		Changed: func() { r.add("changed") }, Event: func(kind, reason, message string) { r.add("%s %s %s", kind, reason, message) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		bus.Close()
	})
	return w, bus, filepath.Join(dir, "logind.conf.d", logind.Conf)
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("never: %s", what)
	}
}

// The machine is held until the pods have ended, the least important first. When
// it stays up after all, it is held again.
func TestPodsEndInOrderBeforeTheMachine(t *testing.T) {
	r := &record{pods: []*corev1.Pod{pod("db", 0, 100), pod("system", 2_000_000_000, 1), pod("web", 0, 2)}}
	w, bus, conf := begin(t, r, shutdown.Split(time.Minute, 20*time.Second), time.Hour)
	await(t, "the machine is held", bus.Held())
	if w.Closing() {
		t.Error("closing before the time")
	}
	if err := bus.Prepare(true); err != nil {
		t.Fatal(err)
	}
	await(t, "the machine is let go", bus.Released())
	if !w.Closing() || bus.Holding() != 0 {
		t.Error("not closing")
	}
	got := r.take()
	if len(got) == 5 && got[2] > got[3] {
		got[2], got[3] = got[3], got[2] // side by side
	}
	if diff := cmp.Diff([]string{
		"Normal Shutdown Shutdown manager detected shutdown event", "changed",
		"end db in 40 s: Terminated", "end web in 2 s: Terminated", "end system in 1 s: Terminated",
	}, got); diff != "" {
		t.Error(diff)
	}
	if err := bus.Prepare(false); err != nil {
		t.Fatal(err)
	}
	await(t, "the machine is held again", bus.Held())
	if w.Closing() {
		t.Error("still closing")
	}
	if diff := cmp.Diff([]string{"Normal Shutdown Shutdown manager detected shutdown cancellation", "changed"}, r.take()); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(conf); err == nil {
		t.Error("asked for more time than was needed")
	}
}

// A pod that does not end holds the machine no longer than its group may take.
func TestStuckPodIsLeftBehind(t *testing.T) {
	r := &record{pods: []*corev1.Pod{pod("stuck", 0, 100), pod("system", 2_000_000_000, 1)}, stuck: map[types.UID]bool{"stuck": true}}
	_, bus, _ := begin(t, r, shutdown.Split(2*time.Second, time.Second), time.Hour)
	await(t, "the machine is held", bus.Held())
	if err := bus.Prepare(true); err != nil {
		t.Fatal(err)
	}
	await(t, "the machine is let go", bus.Released())
	if got := r.take(); len(got) != 4 || got[2] != "end stuck in 1 s: Terminated" || got[3] != "end system in 1 s: Terminated" {
		t.Errorf("%q", got)
	}
}

// logind is told how much time is needed, and found again when the bus breaks,
// also in the middle of the machine's end.
func TestTimeIsAskedForAndTheBusMayBreak(t *testing.T) {
	r := &record{}
	dir := t.TempDir()
	bus, err := fakelogind.Listen(filepath.Join(dir, "bus"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	conf := filepath.Join(dir, "conf")
	bus.Reload = func() time.Duration {
		text, _ := os.ReadFile(filepath.Join(conf, logind.Conf))
		if !strings.Contains(string(text), "[Login]\nInhibitDelayMaxSec=90\n") {
			t.Errorf("asked for %q", text)
		}
		return 90 * time.Second
	}
	w := New(Config{
		Periods: []shutdown.Period{{Priority: 0, Seconds: 60}, {Priority: 10, Seconds: 30}}, Pods: r,
		Logind: logind.Config{Address: bus.Address(), ConfDir: conf}, Changed: func() {}, Event: func(string, string, string) {},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	await(t, "the machine is held", bus.Held())
	bus.Break()
	await(t, "the lock went with the connection", bus.Released())
	await(t, "the machine is held again", bus.Held())
	cancel()
	<-done
	await(t, "a stop of berth holds nothing", bus.Released())
	if w.Closing() || len(r.take()) != 0 {
		t.Error("a stop of berth ended pods")
	}
}
