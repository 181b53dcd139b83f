package host

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	recordutil "k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/tools/reference"
	"k8s.io/utils/clock"

	"berth.dev/berth/internal/controller/loop"
)

// Events give way to the loops: while one of them is busy the writer waits this
// long before each event, and when many are waiting for as long as that is so,
// since the events of a burst cost as much as its pods do. An event that has
// waited for long enough does so no more: loops may be busy for hours.
const (
	giveWay    = 10 * time.Millisecond
	waitedLong = 4 * time.Second
	many       = 20
	maxPending = 100_000
	giveUp     = time.Minute
)

// eventWriter writes the events of all loops, one at a time and in order.
// client-go's broadcaster drops events once a thousand wait and its correlator
// after 25 of one object; a set of a thousand pods needs all of its own.
type eventWriter struct {
	clock  clock.PassiveClock
	logger *slog.Logger
	busy   atomic.Int64

	mu      sync.Mutex
	pending []pendingEvent
	wake    chan struct{}
}

type pendingEvent struct {
	from  *recorder
	event *corev1.Event
}

func newEventWriter(c clock.PassiveClock, logger *slog.Logger) *eventWriter {
	return &eventWriter{clock: c, logger: logger, wake: make(chan struct{}, 1)}
}

// recorder records events of one source under one identity.
type recorder struct {
	writer     *eventWriter
	sink       typedcorev1.EventExpansion
	scheme     *runtime.Scheme
	source     string
	correlator *record.EventCorrelator
}

func (w *eventWriter) recorder(config *rest.Config, httpClient *http.Client, s *runtime.Scheme, source string) (loop.Recorder, error) {
	config = rest.CopyConfig(config)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, ""
	api, err := typedcorev1.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, err
	}
	return &recorder{
		writer: w, scheme: s, source: source,
		sink:       api.Events(""),
		correlator: newCorrelator(w.clock),
	}, nil
}

// newCorrelator counts repeated events, and drops none.
func newCorrelator(c clock.PassiveClock) *record.EventCorrelator {
	return record.NewEventCorrelatorWithOptions(record.CorrelatorOptions{
		LRUCacheSize: 16384,
		BurstSize:    maxPending,
		QPS:          1000,
		KeyFunc:      aggregateKey,
		Clock:        c,
	})
}

// aggregateKey combines warnings of one reason as client-go does, but keeps
// every normal event: "created pod x" of a thousand pods are a thousand facts.
func aggregateKey(event *corev1.Event) (string, string) {
	key, local := record.EventAggregatorByReasonFunc(event)
	if event.Type == corev1.EventTypeNormal {
		key = strings.Join([]string{key, local}, "\x00")
	}
	return key, local
}

// Event implements loop.Recorder: it only queues.
func (r *recorder) Event(about runtime.Object, eventType, reason, message string) {
	ref, err := reference.GetReference(r.scheme, about)
	if err != nil {
		r.writer.logger.Debug("event about an unknown kind", "reason", reason, "error", err)
		return
	}
	now := metav1.Time{Time: r.writer.clock.Now()}
	namespace := ref.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	r.writer.add(pendingEvent{from: r, event: &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      recordutil.GenerateEventName(ref.Name, now.UnixNano()),
			Namespace: namespace,
		},
		InvolvedObject:      *ref,
		Reason:              reason,
		Message:             message,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
		Type:                eventType,
		Source:              corev1.EventSource{Component: r.source},
		ReportingController: r.source,
	}})
}

func (w *eventWriter) add(e pendingEvent) {
	w.mu.Lock()
	if len(w.pending) < maxPending {
		w.pending = append(w.pending, e)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *eventWriter) take() []pendingEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.pending
	w.pending = nil
	return batch
}

// run writes events until ctx ends.
func (w *eventWriter) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		batch := w.take()
		for i, e := range batch {
			if !w.letGo(ctx, e, len(batch)-i) {
				return nil
			}
			w.write(ctx, e)
		}
	}
}

// letGo waits until an event may be written, the first of so many of a batch. It
// reports false when ctx ended first.
func (w *eventWriter) letGo(ctx context.Context, e pendingEvent, batch int) bool {
	for w.busy.Load() > 0 && w.clock.Since(e.event.FirstTimestamp.Time) < waitedLong {
		if !pause(ctx, giveWay) {
			return false
		}
		if batch+w.waiting() < many {
			break
		}
	}
	return true
}

// waiting is how many events were added since the last batch was taken.
func (w *eventWriter) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

// write correlates and stores one event, trying again while the server cannot be reached.
func (w *eventWriter) write(ctx context.Context, e pendingEvent) {
	result, err := e.from.correlator.EventCorrelate(e.event)
	if err != nil || result.Skip {
		return
	}
	for wait := time.Second; wait < giveUp; wait *= 2 {
		err = e.from.store(ctx, result)
		var refused *apierrors.StatusError
		if err == nil || (errors.As(err, &refused) && !apierrors.IsTooManyRequests(err) && !apierrors.IsServerTimeout(err)) {
			break
		}
		if !pause(ctx, wait) {
			return
		}
	}
	if err != nil {
		w.logger.Debug("event not recorded", "reason", e.event.Reason, "about", e.event.InvolvedObject.Name, "error", err)
	}
}

// store patches an event that was seen before and creates a new one.
func (r *recorder) store(ctx context.Context, result *record.EventCorrelateResult) error {
	var stored *corev1.Event
	var err error
	if result.Event.Count > 1 {
		stored, err = r.sink.PatchWithEventNamespaceWithContext(ctx, result.Event, result.Patch)
	}
	if result.Event.Count == 1 || apierrors.IsNotFound(err) {
		result.Event.ResourceVersion = ""
		stored, err = r.sink.CreateWithEventNamespaceWithContext(ctx, result.Event)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		r.correlator.UpdateState(stored)
	}
	return err
}

// pause waits for d and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
