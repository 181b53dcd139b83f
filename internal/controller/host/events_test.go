package host

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// sink keeps the events that would be stored.
type sink struct {
	typedcorev1.EventExpansion
	mu      sync.Mutex
	stored  map[string]*corev1.Event
	refuse  []error // errors for the next writes
	patches int
}

func (s *sink) CreateWithEventNamespaceWithContext(_ context.Context, e *corev1.Event) (*corev1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refuse) > 0 {
		err := s.refuse[0]
		s.refuse = s.refuse[1:]
		return nil, err
	}
	e = e.DeepCopy()
	e.ResourceVersion = "1"
	s.stored[e.Name] = e
	return e, nil
}

func (s *sink) PatchWithEventNamespaceWithContext(_ context.Context, e *corev1.Event, _ []byte) (*corev1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored[e.Name] == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "events"}, e.Name)
	}
	s.patches++
	s.stored[e.Name].Count = e.Count
	return s.stored[e.Name], nil
}

func (s *sink) count() (events, occurrences int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.stored {
		occurrences += int(e.Count)
	}
	return len(s.stored), occurrences
}

func newRecorder(t *testing.T) (*recorder, *sink) {
	t.Helper()
	w := newEventWriter(clock.RealClock{}, slog.New(slog.DiscardHandler))
	s := &sink{stored: map[string]*corev1.Event{}}
	r := &recorder{writer: w, sink: s, scheme: clientScheme(), source: "test-controller", correlator: newCorrelator(w.clock)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r, s
}

func about() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "u"}}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func TestEveryNormalEventIsKept(t *testing.T) {
	r, s := newRecorder(t)
	for i := range 3000 {
		r.Event(about(), corev1.EventTypeNormal, "SuccessfulCreate", fmt.Sprintf("create Pod web-%d", i))
	}
	eventually(t, "3000 events", func() bool { n, _ := s.count(); return n == 3000 })
}

func TestRepeatedEventsAreCounted(t *testing.T) {
	r, s := newRecorder(t)
	for range 50 {
		r.Event(about(), corev1.EventTypeWarning, "FailedCreate", "no quota")
	}
	eventually(t, "one event of 50", func() bool { n, times := s.count(); return n == 1 && times == 50 })
}

func TestDifferentWarningsOfOneReasonAreCombined(t *testing.T) {
	r, s := newRecorder(t)
	for i := range 50 {
		r.Event(about(), corev1.EventTypeWarning, "FailedCreate", fmt.Sprintf("attempt %d", i))
	}
	eventually(t, "10 events, the last combined", func() bool {
		n, times := s.count()
		return n == 10 && times == 50
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	combined := 0
	for _, e := range s.stored {
		if strings.HasPrefix(e.Message, "(combined from similar events)") {
			combined++
		}
	}
	if combined != 1 {
		t.Errorf("%d combined events, want 1", combined)
	}
}

func TestEventsSurviveAnOutageAndGiveUpOnRefusal(t *testing.T) {
	r, s := newRecorder(t)
	s.refuse = []error{fmt.Errorf("connection refused"), apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "x", nil)}
	r.Event(about(), corev1.EventTypeNormal, "A", "tried again, then refused")
	r.Event(about(), corev1.EventTypeNormal, "B", "stored")
	eventually(t, "the second event", func() bool { n, _ := s.count(); return n == 1 })
}

func TestAnEventSaysWhoAndAbout(t *testing.T) {
	r, s := newRecorder(t)
	r.Event(about(), corev1.EventTypeNormal, "Started", "hello")
	eventually(t, "the event", func() bool { n, _ := s.count(); return n == 1 })
	for _, e := range s.stored {
		ref := e.InvolvedObject
		if ref.Kind != "Pod" || ref.APIVersion != "v1" || ref.Name != "web-0" || ref.UID != "u" || e.Namespace != "default" ||
			e.Source.Component != "test-controller" || e.ReportingController != "test-controller" || e.Count != 1 || e.FirstTimestamp.IsZero() {
			t.Errorf("event is %+v", e)
		}
	}
}

// A loop that is never idle holds an event back for waitedLong only: a thousand
// events that are older take less than giveWay each would.
func TestOldEventsDoNotGiveWay(t *testing.T) {
	r, s := newRecorder(t)
	r.writer.clock = behind{r.writer.clock}
	r.writer.busy.Add(1)
	const n = 1000
	began := time.Now()
	for i := range n {
		r.Event(about(), corev1.EventTypeNormal, "SuccessfulCreate", fmt.Sprint("create Pod web-", i))
	}
	eventually(t, "all events although a loop is busy", func() bool { events, _ := s.count(); return events == n })
	if took := time.Since(began); took > n*giveWay {
		t.Errorf("took %s", took)
	}
}

// While a loop is busy few events are written soon, of many none before it is idle.
func TestManyEventsWaitForTheLoops(t *testing.T) {
	r, s := newRecorder(t)
	began := time.Now()
	now := clocktesting.NewFakePassiveClock(began) // no event gets old
	r.writer.clock = now
	r.writer.busy.Add(1)
	said := 0
	say := func(n int) {
		for range n {
			said++
			now.SetTime(began.Add(time.Duration(said))) // their names are made of it
			r.Event(about(), corev1.EventTypeNormal, "SuccessfulCreate", fmt.Sprint("create Pod web-", said))
		}
	}
	say(1)
	eventually(t, "the only event", func() bool { events, _ := s.count(); return events == 1 })
	say(5 * many)
	before, _ := s.count()
	time.Sleep(3 * many * giveWay) // as many looks
	if events, _ := s.count(); events > before+many {
		t.Fatalf("%d of many events were written while a loop is busy", events-before)
	}
	r.writer.busy.Add(-1)
	eventually(t, "all events", func() bool { events, _ := s.count(); return events == said })
}

// behind makes what happens now seem to have happened long ago.
type behind struct{ clock.PassiveClock }

func (c behind) Since(then time.Time) time.Duration { return c.PassiveClock.Since(then) + waitedLong }
