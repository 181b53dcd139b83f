package lead

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/apiserver/apitest"
)

// quick leaves a slow machine time to renew.
var quick = Times{Lease: 8 * time.Second, Renew: 200 * time.Millisecond, Retry: 50 * time.Millisecond}

// server is one that wants to lead.
type server struct {
	cut  atomic.Bool // from the API
	led  chan *Term  // a term has begun
	over chan error  // a term has ended, and why
	done chan error  // Run has returned
	stop func()
}

type world struct {
	t       *testing.T
	env     *apitest.Env
	leading atomic.Int32
}

func (w *world) leases(s *server) coordinationclient.LeaseInterface {
	config := w.env.As("anybody", "system:masters")
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if s.cut.Load() {
				return nil, errors.New("cut off")
			}
			return next.RoundTrip(r)
		})
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return client.CoordinationV1().Leases("kube-system")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (w *world) start(instance, run string, times Times) *server {
	s := &server{led: make(chan *Term, 10), over: make(chan error, 10), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(w.t.Context())
	s.stop = cancel
	c := Config{Leases: w.leases(s), Name: "test", Instance: instance, Run: run, Times: times, Log: slog.New(slog.DiscardHandler)}
	go func() {
		s.done <- Run(ctx, c, func(ctx context.Context, term *Term) error {
			if w.leading.Add(1) > 1 {
				w.t.Error("two lead at once")
			}
			s.led <- term
			<-ctx.Done()
			w.leading.Add(-1)
			s.over <- context.Cause(ctx)
			return nil
		})
	}()
	w.t.Cleanup(cancel)
	return s
}

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

func open(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("starts the API server")
	}
	return &world{t: t, env: apitest.Start(t)}
}

func TestOneLeads(t *testing.T) {
	w := open(t)
	slow := quick
	slow.Lease = time.Hour // nobody waits for the end of a lease here
	a := w.start("a", "1", slow)
	term := within(t, "a leads", a.led)
	b := w.start("b", "1", slow)
	if term.Check() != nil {
		t.Error("a does not know that it leads")
	}
	a.stop()
	if err := within(t, "a returns", a.done); err != nil {
		t.Error(err)
	}
	within(t, "b leads after a has stopped", b.led)

	// A run of the same instance takes over from one that has not released it.
	b.cut.Store(true)
	b.stop()
	within(t, "b returns although it cannot release the lease", b.done)
	c := w.start("c", "1", slow)
	again := w.start("b", "2", slow)
	within(t, "b leads again", again.led)
	lease, err := w.env.Client.CoordinationV1().Leases("kube-system").Get(t.Context(), "test", metav1.GetOptions{})
	if err != nil || *lease.Spec.HolderIdentity != "b_2" || *lease.Spec.LeaseTransitions != 2 || len(c.led) > 0 {
		t.Errorf("%+v, %v, c has led %d times", lease, err, len(c.led))
	}
}

// A leader that is cut off stops before another begins, and leads again later.
func TestCutOff(t *testing.T) {
	w := open(t)
	a := w.start("a", "1", quick)
	term := within(t, "a leads", a.led)
	b := w.start("b", "1", quick)
	for first := (time.Time{}); ; time.Sleep(10 * time.Millisecond) {
		lease, err := w.env.Client.CoordinationV1().Leases("kube-system").Get(t.Context(), "test", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if first.IsZero() {
			first = lease.Spec.RenewTime.Time
		}
		if lease.Spec.RenewTime.After(first) {
			break // it gives signs of life
		}
	}
	a.cut.Store(true)
	if err := within(t, "a stops", a.over); !errors.Is(err, ErrLost) {
		t.Errorf("a stops because of %v", err)
	}
	within(t, "b leads", b.led)
	if term.Check() == nil {
		t.Error("a still believes to lead")
	}
	a.cut.Store(false)
	b.stop()
	within(t, "a leads again", a.led)
}

// Who takes the lease away by hand ends the term.
func TestTakenAway(t *testing.T) {
	w := open(t)
	slow := quick
	slow.Lease = time.Hour
	a := w.start("a", "1", slow)
	term := within(t, "a leads", a.led)
	if err := term.Confirm(t.Context()); err != nil {
		t.Errorf("a holds the lease: %v", err)
	}
	leases := w.env.Client.CoordinationV1().Leases("kube-system")
	for {
		lease, err := leases.Get(t.Context(), "test", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lease.Spec.HolderIdentity = ptr.To("x_1")
		if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err == nil {
			break
		}
	}
	// By the clock it leads for an hour: as if its machine had slept.
	if err := term.Confirm(t.Context()); term.Check() != nil || !errors.Is(err, ErrLost) {
		t.Errorf("a is told %v", err)
	}
	within(t, "a stops", a.over)
	if err := leases.Delete(t.Context(), "test", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	within(t, "a leads again, by a lease of its own", a.led)
}

// Who cannot begin to act gives the lease back and tries again.
func TestGivenBack(t *testing.T) {
	w := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	terms, done := 0, make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Leases: w.leases(&server{}), Name: "test", Instance: "a", Run: "1", Times: quick, Log: slog.New(slog.DiscardHandler)}, func(context.Context, *Term) error {
			if terms++; terms == 3 {
				cancel()
			}
			return nil
		})
	}()
	if err := within(t, "the end", done); err != nil || terms != 3 {
		t.Errorf("%d terms, then %v", terms, err)
	}
}

// A process that slept beyond its lease knows so before it has done anything.
func TestSlept(t *testing.T) {
	term := &Term{begun: time.Now().Add(-time.Hour)}
	term.renewed(time.Now().Add(-quick.Lease), quick.Lease)
	if !errors.Is(term.Check(), ErrLost) {
		t.Error("it believes to lead")
	}
	term.renewed(time.Now(), time.Hour)
	if term.Check() != nil {
		t.Error("it does not know that it leads")
	}
}
