package ipam

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"berth.dev/berth/internal/controller/loop"
	"berth.dev/berth/internal/ipam"
)

// cost is what the address loop itself needs: the time of its thread, without
// that of the API server that it asks, and its writes of records.
type cost struct{ nanoseconds, writes atomic.Int64 }

func (c *cost) begin() {
	c.nanoseconds.Store(0)
	c.writes.Store(0)
}

func (c *cost) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(c.nanoseconds.Load())/1e6/float64(*pods), "own-cpu-ms/pod")
	b.ReportMetric(float64(c.writes.Load())/float64(*pods), "writes/pod")
}

func (c *cost) request(user string, r *http.Request) {
	if user == ipam.User && r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/spiderendpoints") {
		c.writes.Add(1)
	}
}

func (c *cost) wrap(l loop.Loop) loop.Loop {
	if l.User != ipam.User {
		return l
	}
	build := l.New
	l.New = func(env loop.Env) reconcile.Reconciler {
		next := build(env)
		return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := used(unix.RUSAGE_THREAD)
			defer func() { c.nanoseconds.Add(int64(used(unix.RUSAGE_THREAD) - began)) }()
			return next.Reconcile(ctx, req)
		})
	}
	return l
}

// processor is the time that this process has had.
func processor() time.Duration { return used(unix.RUSAGE_SELF) }

func used(who int) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(who, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
